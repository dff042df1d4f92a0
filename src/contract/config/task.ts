/** The section `task_config`: what holds for tasks that do not say otherwise. */
import * as z from "zod";
import { TimeoutSeconds } from "../common.ts";
import { LateResultPolicy } from "../task.ts";
import { DAY_SECONDS, seconds } from "./values.ts";

const taskTimeout = (description: string) =>
  TimeoutSeconds.nullable().default(null).meta({ unit: "seconds", description });

export const TaskConfig = z.strictObject({
  default_timeout_seconds: taskTimeout(
    "How long a started task may take, unless it says so itself; null: any time.",
  ),
  default_progress_timeout_seconds: taskTimeout(
    "How long a started task may go without progress, unless it says so itself; null: any time.",
  ),
  default_start_timeout_seconds: taskTimeout(
    "How long an assigned task may wait to be started, unless it says so itself; null: any time.",
  ),
  late_result_policy: LateResultPolicy.default("keep").meta({
    description:
      "What becomes of a result from an attempt no longer current: `keep` it to be accepted by a call, `accept_if_unfinished`: it completes the task unless that has ended (then it is kept), or `reject` it.",
  }),
  retention_seconds: seconds(1, 365 * DAY_SECONDS)
    .default(7 * DAY_SECONDS)
    .meta({
      unit: "seconds",
      description: "How long a finished task is kept, and its id recognised when it is submitted again.",
    }),
  priority_aging_seconds: seconds(1, 30 * DAY_SECONDS)
    .default(600)
    .meta({
      unit: "seconds",
      description: "Waiting time that lifts a pending task by one priority step, so that none starves.",
    }),
});
