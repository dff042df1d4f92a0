/** The refusals that several parts of a coordinator give. */
import { type Outcome, refuse } from "../../contract/problem.ts";

export function noSuchAgent(): Outcome<never> {
  return refuse("not_found", "there is no such agent in this cluster");
}

export function noSuchTask(): Outcome<never> {
  return refuse("not_found", "there is no such task in this cluster");
}
