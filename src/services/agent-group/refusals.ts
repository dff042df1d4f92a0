/** The refusals that several parts of a group give. */
import { type Outcome, refuse } from "../../contract/problem.ts";

export function sessionExpired(): Outcome<never> {
  return refuse("session_expired", "this incarnation is over; register again");
}

/** For an operator, who names no incarnation. */
export function noLiveAgent(): Outcome<never> {
  return refuse("not_found", "no agent with this id is live in this group; register the agent first");
}
