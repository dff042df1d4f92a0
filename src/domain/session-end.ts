/** Why an incarnation has ended, and what a call of it is told. Pure. */
import type { SessionEndReason } from "../contract/agent.ts";
import { type Outcome, refuse } from "../contract/problem.ts";

/** @property supersededBy the `instance` of the process that has replaced it, if that is known */
export type SessionEnd = { readonly reason: SessionEndReason; readonly supersededBy: string | null };

const REGISTER_AGAIN = "register again, and list the tasks still running in running_tasks";

/** What the agent should do. */
const ADVICE: Record<SessionEndReason, string> = {
  superseded: "another process has registered this agent id; stop, and give each process an id of its own",
  failed: `the agent was declared failed; ${REGISTER_AGAIN}`,
  unregistered: "the agent was unregistered; stop, or start the agent again",
  revoked: "the token of the agent was revoked; stop",
  expired: REGISTER_AGAIN,
  restored: `the coordinator was restored from a backup; ${REGISTER_AGAIN}`,
};

/** The refusal of a call of an ended incarnation. @param evidence the task of the report, if a report is refused */
export function expiredSession(
  { reason, supersededBy }: SessionEnd,
  evidence: { task_id?: string } = {},
): Outcome<never> {
  return refuse("session_expired", `this incarnation of the agent has ended: ${ADVICE[reason]}`, {
    ...evidence,
    reason,
    ...(reason === "superseded" ? { superseded_by: supersededBy } : {}),
  });
}
