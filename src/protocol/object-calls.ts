/**
 * The calls that one object makes to another. Calls that change state are messages of the outbox; the others may be
 * lost, and their callers repeat them.
 */
import type { Page } from "../contract/common.ts";
import type { Outcome } from "../contract/problem.ts";
import type { AgentFrame, RevocationReason } from "../contract/socket.ts";
import type { Task, TaskState } from "../contract/task.ts";
import type { AgentPrincipal } from "../domain/principal.ts";
import type { SessionState } from "../domain/replacement.ts";
import type { MessageBatch, Receipt } from "./message-batch.ts";

/** What a wake-up says about an agent's tasks: hints, not facts. */
export type AgentWakeup = {
  agentId: string;
  assignedTasks: number;
  /** Attempts that were taken from the agent; one attempt may be listed more than once. */
  revoked?: readonly Revocation[];
};

export type Revocation = { taskId: string; attempt: number; reason: RevocationReason };

/** The page of an agent's unstarted tasks that is asked for; the cursor is null for the first. */
export type UnstartedRead = { agentId: string; cursor: string | null };

/** A holder's report that came over a socket. */
export type TaskReport = {
  principal: AgentPrincipal;
  frame: Extract<AgentFrame, { task_id: string }>;
};

export interface MessageReceiver {
  receive(batch: MessageBatch): Receipt;
}

/** What a group answers to the coordinator. */
export interface GroupCalls extends MessageReceiver {
  wakeAgent(wakeup: AgentWakeup): void;
  sessionState(agentId: string): SessionState;
}

/** What the coordinator answers to a group; see Peers in src/services/host.ts. */
export interface CoordinatorCalls extends MessageReceiver {
  reportAll(reports: readonly TaskReport[]): Outcome<TaskState>[];
  unstartedTasks(reads: readonly UnstartedRead[]): Page<Task>[];
}
