/** What the Worker waits for on behalf of callers, and the objects ring (see Bells in host). */

export const EVENTS_TOPIC = "events";

/** An agent's task list changed, or its incarnation ended. */
export function agentTopic(agentId: string): string {
  return `agent/${agentId}`;
}

/** A task reached its end. */
export function taskTopic(taskId: string): string {
  return `task/${taskId}`;
}
