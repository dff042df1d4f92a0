/** The section `heartbeat_config`: how an agent shows that it lives. */
import * as z from "zod";
import { DAY_SECONDS, seconds } from "./values.ts";

export const HeartbeatConfig = z
  .strictObject({
    interval_seconds: seconds(0.1, DAY_SECONDS).default(10).meta({
      unit: "seconds",
      description: "How often an agent gives a sign of life, unless it registers its own interval.",
    }),
    timeout_seconds: seconds(0.1, DAY_SECONDS).default(30).meta({
      unit: "seconds",
      description:
        "Silence after which an agent is declared failed, unless it registers its own. Longer than the interval.",
    }),
    reconnect_grace_seconds: seconds(0, DAY_SECONDS).default(5).meta({
      unit: "seconds",
      description:
        "How long an agent whose socket broke has to come back before it is declared failed; 0: no time.",
    }),
  })
  .refine((heartbeat) => heartbeat.timeout_seconds > heartbeat.interval_seconds, {
    path: ["timeout_seconds"],
    message: "must be longer than `interval_seconds`",
  });
