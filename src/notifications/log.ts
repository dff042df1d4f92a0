/** The channel `log`: one structured line a notice. */
import type { Severity } from "../contract/failure.ts";
import type { Channel } from "./channel.ts";

const LEVELS: Record<Severity, "info" | "warn" | "error"> = {
  info: "info",
  warning: "warn",
  error: "error",
  critical: "error",
};

export const logChannel: Channel = {
  name: "log",
  deliver({ severity, subject, stage, failure }, { log }) {
    log.line(LEVELS[severity], "failure_notification", {
      stage,
      severity,
      subject,
      failure_id: failure.id,
      failure_type: failure.failure_type,
      agent_id: failure.agent_id,
      group: failure.group,
      at: failure.at,
      tasks_reassigned: failure.tasks_reassigned,
      tasks_pending: failure.tasks_pending,
      tasks_failed: failure.tasks_failed,
      locks_released: failure.locks_released.length,
    });
    return { delivered: true };
  },
};
