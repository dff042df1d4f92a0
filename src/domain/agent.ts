/**
 * An agent as the coordinator knows it: what was registered, and what became of it.
 *
 *   active <--> suspect, draining <--> suspect   by its group's word: a socket broke, or it is heard again
 *   active <--> draining                         by a call
 *   any of these --> inactive                    its incarnation ended; the next one begins active or draining
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
  readonly heartbeatTimeoutMs: number;
  readonly status: AgentStatus;
  readonly drain: Drain | null;
  readonly incarnation: number;
  readonly registeredAtMs: number;
  /** Whose token registered it. */
  readonly registeredBy: string;
  /** As told by its group when the incarnation ended; while it lives the group knows better. */
  readonly lastHeartbeatAtMs: number | null;
  /** It unregistered: it goes from the record once its tasks have moved. */
  readonly isLeaving: boolean;
  readonly cooldownUntilMs: number | null;
  readonly failureCount: number;
  readonly tasksCompleted: number;
  readonly tasksFailed: number;
  /** Sum of the durations of its completed tasks. */
  readonly taskMsTotal: number;
  readonly load: Load | null;
  readonly reliabilityHistory: ReliabilityHistory;
  /** What it has done of each task type. */
  readonly performance: PerformanceByType;
};

/** It takes no new tasks and is rid of those it has. */
export type Drain = {
  readonly mode: DrainMode;
  /** An operator's outlives a registration, the agent's own ends with it. */
  readonly by: "agent" | "operator";
  /** When what it still runs is taken from it; null for never. */
  readonly deadlineMs: number | null;
  /** The deadline has passed and was acted on. */
  readonly isOver: boolean;
  /** How often a pause of ours moved the deadline. */
  readonly extensions: number;
};

/** The status of a live agent that nothing is known against. */
export function liveStatus(drain: Drain | null): AgentStatus {
  return drain === null ? "active" : "draining";
}

/** Under another drain, or none. A suspect or inactive agent stays one. */
export function withDrain(agent: AgentRecord, drain: Drain | null): AgentRecord {
  const isStanding = agent.status === "active" || agent.status === "draining";
  return { ...agent, drain, status: isStanding ? liveStatus(drain) : agent.status };
}

/**
 * The drain that holds once another was asked for. Under an operator's an agent may hurry, and not put off.
 */
export function drainAfter(present: Drain | null, asked: Drain): Drain {
  if (present?.by !== "operator" || asked.by === "operator") return asked;
  const deadlines = [present.deadlineMs, asked.deadlineMs].filter((atMs) => atMs !== null);
  return { ...asked, by: "operator", deadlineMs: deadlines.length === 0 ? null : Math.min(...deadlines) };
}

/** After a pause of ours until `nowMs`: it has the time of one heartbeat timeout to report what it did meanwhile. */
export function extendedDrain(agent: AgentRecord, nowMs: number): AgentRecord {
  const { drain } = agent;
  const wholeMs = nowMs + agent.heartbeatTimeoutMs;
  if (drain === null || drain.deadlineMs === null || drain.isOver) return agent;
  if (drain.deadlineMs >= wholeMs || drain.extensions >= MAX_EXTENSIONS) return agent;
  return { ...agent, drain: { ...drain, deadlineMs: wholeMs, extensions: drain.extensions + 1 } };
}

/** Live: its group watches over it. */
export function isLive(status: AgentStatus): boolean {
  return status !== "inactive";
}
