/** From a failure to what people are told of it. */
import type { Failure } from "../contract/failure.ts";
import type { Notice } from "./channel.ts";

export function noticeOf(failure: Failure, stage: Notice["stage"]): Notice {
  return { severity: failure.severity, subject: subjectOf(failure, stage), stage, failure };
}

function subjectOf(failure: Failure, stage: Notice["stage"]): string {
  if (stage === "recorded") return `${failure.severity}: ${failure.message}`;
  const outcome = [
    `${failure.tasks_reassigned} task(s) moved`,
    ...(failure.tasks_pending > 0 ? [`${failure.tasks_pending} wait for an agent`] : []),
    ...(failure.tasks_failed > 0 ? [`${failure.tasks_failed} given up`] : []),
    ...(failure.locks_released.length > 0 ? [`${failure.locks_released.length} lock(s) freed`] : []),
  ];
  return `failover of ${failure.agent_id ?? "an agent"} done: ${outcome.join(", ")}`;
}
