/**
 * An agent as the coordinator stores it: what was registered, and what happened since.
 *
 *   active <--> suspect, draining <--> suspect   the group reports a broken socket, or a sign of life
 *   active <--> draining                         a call drains or resumes the agent
 *   any of these --> inactive                    the incarnation ended; the next one begins active or draining
 */
import type { AgentStatus, DrainMode, Load } from "../contract/agent.ts";
import { MAX_EXTENSIONS } from "./liveness.ts";
import type { ReliabilityHistory } from "./reliability.ts";
import type { PerformanceByType } from "./task-type-performance.ts";

export type AgentRecord = {
  readonly id: string;
  readonly group: string;
  readonly type: string;
  readonly capabilities: readonly string[];
  readonly endpoint: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly maxConcurrentTasks: number;
  readonly heartbeatIntervalMs: number;
  /** In force: the agent's own, or the default, which may have changed since it registered. */
  readonly heartbeatTimeoutMs: number;
  /** The agent chose its timeout: a new default does not change it. */
  readonly hasOwnTimeout: boolean;
  readonly status: AgentStatus;
  readonly drain: Drain | null;
  readonly incarnation: number;
  readonly registeredAtMs: number;
  /** The owner of the token that registered the agent. */
  readonly registeredBy: string;
  /** As the group reported it when the incarnation ended; while the agent lives, only the group knows it. */
  readonly lastHeartbeatAtMs: number | null;
  /** The agent unregistered: it is removed once its tasks are reassigned. */
  readonly isLeaving: boolean;
  readonly cooldownUntilMs: number | null;
  readonly failureCount: number;
  readonly tasksCompleted: number;
  readonly tasksFailed: number;
  /** The sum of the durations of its completed tasks. */
  readonly taskMsTotal: number;
  readonly load: Load | null;
  readonly reliabilityHistory: ReliabilityHistory;
  /** What the agent has done of each task type. */
  readonly performance: PerformanceByType;
  /** The process that registered the incarnation, as it names itself. */
  readonly instance: string | null;
  /** The incarnation of another process that ended by this registration. */
  readonly replaced: ReplacedIncarnation | null;
  /** Two processes fight for the id: other processes are refused until then. */
  readonly conflictUntilMs: number | null;
};

/** @property failureId of the record `agent_restarted`, which may become `duplicate_agent_id` */
export type ReplacedIncarnation = {
  readonly incarnation: number;
  readonly instance: string | null;
  readonly failureId: string;
};

/** A draining agent takes no new tasks, and its tasks are finished or reassigned. */
export type Drain = {
  readonly mode: DrainMode;
  /** An operator's drain outlives a registration; the agent's own drain ends with it. */
  readonly by: "agent" | "operator";
  /** When the tasks that the agent still runs are reassigned; null for never. */
  readonly deadlineMs: number | null;
  /** The deadline has passed, and the running tasks are being reassigned. */
  readonly isOver: boolean;
  /** How often our own outage extended the deadline. */
  readonly extensions: number;
};

/** The status of a live agent that is not suspect. */
export function liveStatus(drain: Drain | null): AgentStatus {
  return drain === null ? "active" : "draining";
}

/** The agent under another drain, or none. A suspect or inactive agent keeps its status. */
export function withDrain(agent: AgentRecord, drain: Drain | null): AgentRecord {
  const followsDrain = agent.status === "active" || agent.status === "draining";
  return { ...agent, drain, status: followsDrain ? liveStatus(drain) : agent.status };
}

/**
 * The drain that applies after another one was requested. An agent may bring the deadline of an operator's drain
 * forward, not put it off.
 */
export function drainAfter(current: Drain | null, requested: Drain): Drain {
  if (current?.by !== "operator" || requested.by === "operator") return requested;
  const deadlines = [current.deadlineMs, requested.deadlineMs].filter((atMs) => atMs !== null);
  return { ...requested, by: "operator", deadlineMs: deadlines.length === 0 ? null : Math.min(...deadlines) };
}

/** After our own outage until `nowMs`: the agent has one heartbeat timeout to report what it did meanwhile. */
export function extendedDrain(agent: AgentRecord, nowMs: number): AgentRecord {
  const { drain } = agent;
  const extendedMs = nowMs + agent.heartbeatTimeoutMs;
  if (drain === null || drain.deadlineMs === null || drain.isOver) return agent;
  if (drain.deadlineMs >= extendedMs || drain.extensions >= MAX_EXTENSIONS) return agent;
  return { ...agent, drain: { ...drain, deadlineMs: extendedMs, extensions: drain.extensions + 1 } };
}

/** Whether the agent's group monitors it. */
export function isLive(status: AgentStatus): boolean {
  return status !== "inactive";
}
