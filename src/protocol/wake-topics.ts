/** What the Worker waits for on behalf of callers, and what objects wake (see TopicWakeups in src/services/host.ts). */

export const EVENTS_TOPIC = "events";

/** An agent's task list changed, or the agent's incarnation ended. */
export function agentTopic(agentId: string): string {
  return `agent/${agentId}`;
}

/** A message was added to an agent's mailbox, or the agent's incarnation ended. */
export function messageTopic(agentId: string): string {
  return `messages/${agentId}`;
}

/** The agent got a lock that it waits for, or its wait ended otherwise. */
export function lockTopic(agentId: string): string {
  return `locks/${agentId}`;
}

/** A task reached its end. */
export function taskTopic(taskId: string): string {
  return `task/${taskId}`;
}
