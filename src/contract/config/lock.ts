/** The section `lock_config`: how long locks last. */
import * as z from "zod";
import { contradicts, DAY_SECONDS, seconds } from "./values.ts";

export const LockConfig = z
  .strictObject({
    default_ttl_seconds: seconds(0.1, DAY_SECONDS).default(30).meta({
      unit: "seconds",
      description: "TTL of a lock if the holder requests none. At most `max_ttl_seconds`.",
    }),
    max_ttl_seconds: seconds(0.1, DAY_SECONDS).default(3600).meta({
      unit: "seconds",
      description: "Longest TTL that a holder may request.",
    }),
    lock_delay_seconds: seconds(0, 3600).default(0).meta({
      unit: "seconds",
      description:
        "How long a lock cannot be granted after its holder failed or its TTL expired. A release has no delay.",
    }),
  })
  .superRefine(({ default_ttl_seconds, max_ttl_seconds }, context) => {
    const message = `must be at most \`max_ttl_seconds\` (${max_ttl_seconds})`;
    contradicts(context, default_ttl_seconds > max_ttl_seconds, ["default_ttl_seconds", message]);
  });
