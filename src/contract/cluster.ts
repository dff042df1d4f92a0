/** The status of a cluster on the wire. */
import * as z from "zod";
import { AgentStatus } from "./agent.ts";
import { Id, Instant } from "./common.ts";
import { Failure } from "./failure.ts";
import { StrategyName } from "./placement/decision.ts";
import { TaskStatus } from "./task.ts";

export const ClusterStatus = z
  .object({
    total_agents: z.int(),
    active_agents: z.int().meta({ description: "Agents that are active or suspect." }),
    inactive_agents: z.int(),
    agents_by_status: z.record(AgentStatus, z.int()),
    tasks: z.record(TaskStatus, z.int()),
    locked_resources: z.int(),
    failure_count: z.int().meta({ description: "Failures of the last 24 hours." }),
    recent_failures: z.array(Failure),
    groups: z.array(Id),
    strategy: StrategyName,
    config_version: z.int(),
    safe_mode: z.object({
      active: z.boolean(),
      since: Instant.nullable(),
      until: Instant.nullable(),
      reason: z.string().nullable(),
    }),
  })
  .meta({ id: "ClusterStatus" });
export type ClusterStatus = z.infer<typeof ClusterStatus>;
