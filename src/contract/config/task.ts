/** The section `task_config`: defaults and retention of tasks. */
import * as z from "zod";
import { LateResultPolicy, TimeoutSeconds } from "../task.ts";
import { DAY_SECONDS, seconds } from "./values.ts";

const taskTimeout = (description: string) =>
  TimeoutSeconds.nullable().default(null).meta({ unit: "seconds", description });

export const TaskConfig = z.strictObject({
  default_timeout_seconds: taskTimeout(
    "How long a started task may run, unless the task sets its own timeout. null: no limit.",
  ),
  default_progress_timeout_seconds: taskTimeout(
    "How long a started task may report no progress, unless the task sets its own timeout. null: no limit.",
  ),
  default_start_timeout_seconds: taskTimeout(
    "How long an assigned task may wait for its start, unless the task sets its own timeout. null: no limit.",
  ),
  late_result_policy: LateResultPolicy.default("keep").meta({
    description:
      "What happens to a result of an attempt that is no longer current. `keep`: stored, and an operator may accept it. `accept_if_unfinished`: completes the task, or is stored if the task has ended. `reject`: dropped.",
  }),
  queue_warning_seconds: seconds(0.1, 30 * DAY_SECONDS)
    .default(300)
    .meta({
      unit: "seconds",
      description:
        "A pending task that waits for an agent for longer than this causes one failure `no_suitable_agent` for its type. No second one follows until the queue of that type has been served.",
    }),
  retention_seconds: seconds(1, 365 * DAY_SECONDS)
    .default(7 * DAY_SECONDS)
    .meta({
      unit: "seconds",
      description:
        "How long a finished task is kept. For this time its id is recognised if it is submitted again.",
    }),
  priority_aging_seconds: seconds(1, 30 * DAY_SECONDS)
    .default(600)
    .meta({
      unit: "seconds",
      description:
        "A pending task gains one priority step for each such period of waiting, so that no task waits for ever.",
    }),
});
