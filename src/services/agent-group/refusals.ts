/** The refusals that several parts of a group give. */
import { type Outcome, refuse } from "../../contract/problem.ts";

export function sessionExpired(): Outcome<never> {
  return refuse("session_expired", "this incarnation is over; register again");
}
