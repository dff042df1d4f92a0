/** An agent as the coordinator knows it: what was registered, and what became of it. */
import type { AgentStatus, Load } from "../contract/agent.ts";
import type { ExperienceByType } from "./experience.ts";
import type { Track } from "./reliability.ts";

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
  readonly track: Track;
  /** What it has done of each task type. */
  readonly experience: ExperienceByType;
};

/** Live: its group watches over it. */
export function isLive(status: AgentStatus): boolean {
  return status !== "inactive";
}
