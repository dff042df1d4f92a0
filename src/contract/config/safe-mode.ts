/** The section `safe_mode_config`: the brake when many agents vanish at once. */
import * as z from "zod";
import { DAY_SECONDS, seconds } from "./values.ts";

export const SafeModeConfig = z.strictObject({
  enabled: z.boolean().default(true).meta({
    description:
      "Whether failover pauses when many agents are lost at once, since the network is then the likelier cause.",
  }),
  min_agents: z.int().min(1).max(100_000).default(5).meta({
    unit: "agents",
    description: "Agents lost within the window below which failover does not pause.",
  }),
  min_fraction: z.number().min(0.01).max(1).default(0.5).meta({
    unit: "fraction",
    description:
      "Share of the cluster's live agents, lost within the window, below which failover does not pause.",
  }),
  window_seconds: seconds(0.1, 3600).default(60).meta({
    unit: "seconds",
    description: "Time within which lost agents are counted together.",
  }),
  hold_seconds: seconds(0.1, DAY_SECONDS).default(60).meta({
    unit: "seconds",
    description: "How long the pause lasts, unless most agents are back before.",
  }),
});
