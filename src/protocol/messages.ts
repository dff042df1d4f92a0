/**
 * The messages between the three kinds of object. Each is a row of the sender's outbox: written with the change that caused
 * it, delivered in order, repeated until acknowledged, applied once. Fields are added, never renamed: old and new code run
 * side by side during a deployment.
 */
import type { DrainMode, Load } from "../contract/agent.ts";
import type { Config } from "../contract/config.ts";
import type { EventDraft } from "../contract/event.ts";
import type { Failure } from "../contract/failure.ts";
import type { TaskMove } from "../contract/incident.ts";
import type { AgentMessage } from "../contract/message.ts";
import type { FailureSubject } from "../domain/incident/incident-entry.ts";

/** From the coordinator to a group: a new incarnation, which ends the one before. */
export type RegisterSession = {
  type: "register_session";
  agentId: string;
  incarnation: number;
  intervalMs: number;
  timeoutMs: number;
  /** The process that registered, as it names itself. */
  instance?: string | null;
  /** The live incarnation of another process that ends by this one; null if there was none. */
  replacedIncarnation?: number | null;
};

/** The part of the configuration that a group uses. */
export type GroupSettings = {
  version: number;
  failoverEnabled: boolean;
  reconnectGraceMs: number;
  defaultLockTtlMs: number;
  maxLockTtlMs: number;
  lockDelayMs: number;
};

export type ConfigureGroup = { type: "configure_group"; settings: GroupSettings };

/** An operator removed an agent that was not live: its mailbox is dropped. */
export type ForgetAgent = { type: "forget_agent"; agentId: string };

/** A message to all agents of a group that are live when it arrives. */
export type Broadcast = {
  type: "broadcast";
  from: string;
  messageType: string;
  content: AgentMessage["content"];
  atMs: number;
};

/** From a group to the coordinator: an incarnation has ended. */
export type AgentEnded = {
  type: "agent_ended";
  agentId: string;
  incarnation: number;
  group: string;
  ending: "failed" | "unregistered";
  /** The failure's id, made where it was declared, so that a repeated message names the same one. */
  failureId: string;
  failureType: string;
  message: string;
  details: Record<string, unknown>;
  lastSignMs: number;
  declaredAtMs: number;
  locksReleased: readonly string[];
};

/** A socket broke without a close frame: the agent may be gone, and becomes inactive without a sign of life until then. */
export type AgentSuspect = { type: "agent_suspect"; agentId: string; incarnation: number; untilMs: number };

/** A suspect has shown a sign of life. */
export type AgentCleared = { type: "agent_cleared"; agentId: string; incarnation: number };

/** An incarnation that another process had replaced is heard of again: both processes live. */
export type ReplacedAgentAlive = { type: "replaced_agent_alive"; agentId: string; incarnation: number };

/** Load as last reported by heartbeats, rate-limited by the group. */
export type LoadReported = { type: "load_reported"; agentId: string; incarnation: number; load: Load };

/** Events of a group or of the notifier for the cluster's log, with the time at which they happened. */
export type EventsRecorded = { type: "events_recorded"; atMs: number; events: EventDraft[] };

/** From the coordinator to a group: whether an agent drains; with `mode` null it takes tasks again. */
export type DrainChanged = {
  type: "drain_changed";
  agentId: string;
  incarnation: number;
  mode: DrainMode | null;
  deadlineMs: number | null;
};

export type ConfigureNotifier = {
  type: "configure_notifier";
  version: number;
  notification: Config["failure_notification"];
  email?: Config["email_notification"];
  webhook?: Config["webhook_notification"];
};

/**
 * A failure as recorded; sent again, with its counts, once the failover is done, and with another type and message if it
 * turns out to be another failure.
 */
export type FailureRecorded = {
  type: "failure_recorded";
  stage: "recorded" | "failed_over" | "corrected";
  failure: Failure;
  /** What the failure is about; its type alone does not say it, as a reporter may choose the type. */
  about?: FailureSubject;
  /** Once the failover is done: where the first few tasks went. */
  moved?: TaskMove[];
};

/** An agent that had failed is back, or has unregistered. */
export type AgentRecovered = {
  type: "agent_recovered";
  agentId: string;
  by: "returned" | "unregistered";
  atMs: number;
};

/** A task with a failure of its own has ended, or an operator put it back in the queue. */
export type TaskSettled = { type: "task_settled"; taskId: string; atMs: number };

/** The tasks of a type that had waited for too long have agents, and no other task of the type waits that long. */
export type QueueServed = { type: "queue_served"; taskType: string; atMs: number };

/** A broadcast to these groups, or to all groups of the cluster; the coordinator passes it on. */
export type BroadcastRequested = Omit<Broadcast, "type"> & {
  type: "broadcast_requested";
  groups: string[] | null;
};

/** Agents that were silent when others were declared inactive: they are likely to be declared next. */
export type AgentsSilent = {
  type: "agents_silent";
  agents: { agentId: string; incarnation: number; untilMs: number }[];
};

/** From the coordinator to a group: a new default changed the heartbeat timeouts of these incarnations. */
export type TimeoutsChanged = {
  type: "timeouts_changed";
  timeouts: { agentId: string; incarnation: number; timeoutMs: number }[];
};

export type ToGroup =
  | RegisterSession
  | ConfigureGroup
  | ForgetAgent
  | Broadcast
  | DrainChanged
  | TimeoutsChanged;
export type ToCoordinator =
  | AgentEnded
  | AgentSuspect
  | AgentCleared
  | ReplacedAgentAlive
  | AgentsSilent
  | LoadReported
  | EventsRecorded
  | BroadcastRequested;
export type ToNotifier = ConfigureNotifier | FailureRecorded | AgentRecovered | TaskSettled | QueueServed;
export type OutboxMessage = ToGroup | ToCoordinator | ToNotifier;
