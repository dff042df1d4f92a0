/** What the Worker waits for on behalf of callers, and the objects ring (see Bells in host). */

export const EVENTS_TOPIC = "events";

/** An agent's task list changed, or its incarnation ended. */
export function agentTopic(agentId: string): string {
  return `agent/${agentId}`;
}

/** A message came into an agent's box, or its incarnation ended. */
export function messageTopic(agentId: string): string {
  return `messages/${agentId}`;
}

/** The agent's turn for a lock came, or its wait ended otherwise. */
export function lockTopic(agentId: string): string {
  return `locks/${agentId}`;
}

/** A task reached its end. */
export function taskTopic(taskId: string): string {
  return `task/${taskId}`;
}
