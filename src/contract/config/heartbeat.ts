/** The section `heartbeat_config`: how often agents send heartbeats, and when they are declared failed. */
import * as z from "zod";
import { contradicts, DAY_SECONDS, seconds } from "./values.ts";

export const HeartbeatConfig = z
  .strictObject({
    interval_seconds: seconds(0.1, DAY_SECONDS).default(10).meta({
      unit: "seconds",
      description:
        "Interval at which an agent sends heartbeats, unless it registers its own. An agent learns it when it registers.",
    }),
    timeout_seconds: seconds(0.1, DAY_SECONDS).default(30).meta({
      unit: "seconds",
      description:
        "An agent that is silent for this long is declared failed, unless it registers its own timeout. Must be longer than the interval. A change reaches live agents.",
    }),
    reconnect_grace_seconds: seconds(0, DAY_SECONDS).default(5).meta({
      unit: "seconds",
      description:
        "After its socket broke, an agent that sends no sign of life for this long is declared failed. 0: at once.",
    }),
  })
  .superRefine(({ interval_seconds, timeout_seconds }, context) => {
    const message = `must be longer than \`interval_seconds\` (${interval_seconds})`;
    contradicts(context, timeout_seconds <= interval_seconds, ["timeout_seconds", message]);
  });
