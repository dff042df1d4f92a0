/** One event of the stream as a sentence. `{}` stands for its subject, `{name}` for a value of its data. */
import type { ClusterEvent } from "../index.ts";
import { localTimes } from "./time.ts";

const SENTENCES: Record<string, string> = {
  "agent.registered": "agent {} registered in group {group}, incarnation {incarnation}",
  "agent.active": "agent {} is active again",
  "agent.suspect": "the connection of agent {} broke: it is declared failed at {until} unless it comes back",
  "agent.draining": "agent {} drains ({mode}, by the {by})",
  "agent.inactive": "agent {} failed: {failure_type}",
  "agent.unregistered": "agent {} unregistered",
  "task.submitted": "task {} ({type}, priority {priority}) submitted",
  "task.assigned": "task {} assigned to {agent_id}, attempt {attempt}",
  "task.started": "task {} started by {agent_id}, attempt {attempt}",
  "task.pending": "task {} waits: {reason}",
  "task.retried": "task {} retried by an operator",
  "task.completed": "task {} completed by {agent_id}, attempt {attempt}",
  "task.failed": "task {} failed, last attempt {attempt} by {agent_id}",
  "task.cancelled": "task {} cancelled",
  "task.late_result": "a late result of task {} arrived from {agent_id}, attempt {attempt}",
  "lock.released": "lock {} of {holder} released",
  "lock.expired": "lock {} of {holder} expired",
  "lock.broken": "lock {} of {holder} broken by an operator",
  "failure.recorded": "{severity} failure recorded: {message}",
  "failure.failed_over":
    "failover of {agent_id} done: {tasks_reassigned} tasks reassigned, {tasks_pending} pending, {tasks_failed} failed",
  "coordinator.paused": "the coordinator was paused ({cause}): deadlines are extended",
  "config.changed": "configuration changed, version {version}: {keys}",
  "message.dead_lettered": "message to {} dead-lettered: {reason}",
  "notification.delivered": "notification by {channel} delivered: {subject}",
  "notification.dead": "notification by {channel} is dead ({error}): {subject}",
  "notification.disabled": "channel {channel} disabled: {reason}",
};

export function sentenceOf({ type, subject, data }: ClusterEvent): string {
  const template = SENTENCES[type];
  // A newer coordinator has more types.
  if (template === undefined) return `${type} ${subject} ${JSON.stringify(data)}`;
  return template.replace(/\{(\w*)\}/g, (_, name) => (name === "" ? subject : shown(data[name])));
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "none";
  if (Array.isArray(value)) return value.join(", ");
  return localTimes(typeof value === "string" ? value : JSON.stringify(value)) ?? "";
}
