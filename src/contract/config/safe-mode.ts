/** The section `safe_mode_config`: pauses failover when many agents are lost at once. */
import * as z from "zod";
import { DAY_SECONDS, seconds } from "./values.ts";

export const SafeModeConfig = z.strictObject({
  enabled: z.boolean().default(true).meta({
    description:
      "Whether failover pauses when many agents are lost at once, because a network problem is then the likelier cause.",
  }),
  min_agents: z.int().min(1).max(100_000).default(5).meta({
    unit: "agents",
    description: "Failover pauses only if at least this many agents are lost within the window.",
  }),
  min_fraction: z.number().min(0.01).max(1).default(0.5).meta({
    unit: "fraction",
    description:
      "Failover pauses only if at least this share of the cluster's live agents is lost within the window.",
  }),
  window_seconds: seconds(0.1, 3600).default(60).meta({
    unit: "seconds",
    description: "Length of the window in which lost agents are counted.",
  }),
  hold_seconds: seconds(0.1, DAY_SECONDS).default(60).meta({
    unit: "seconds",
    description: "How long the pause lasts at most: the return of most agents ends it earlier.",
  }),
});
