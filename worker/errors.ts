/**
 * From an expected failure to HTTP: one way to write a problem (RFC 9457). An error may name a key and never repeats
 * a value, since a value may be a secret.
 */
import { type Outcome, PROBLEMS, type Problem, problemItem } from "../src/contract/problem.ts";
import type { Context } from "./context.ts";

export { problemItem };

/** Seconds after which a caller may try again. */
const RETRY_AFTER_SECONDS = 1;

/** Carries a refusal out of a handler to middleware/problems.ts, which writes the answer. */
export class Refused extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.code);
    this.problem = problem;
  }
}

/** The value of an outcome. @throws Refused if there is none */
export function unwrap<Value>(outcome: Outcome<Value>): Value {
  if (outcome.ok) return outcome.value;
  throw new Refused(outcome.problem);
}

export function problemResponse(c: Context, problem: Problem): Response {
  const { status } = PROBLEMS[problem.code];
  const body = { ...problemItem(problem), request_id: c.get("requestId") };
  const headers: Record<string, string> = { "Content-Type": "application/problem+json" };
  if (status === 401) headers["WWW-Authenticate"] = "Bearer";
  if (status === 429 || problem.code === "unavailable") headers["Retry-After"] = String(RETRY_AFTER_SECONDS);
  return c.body(JSON.stringify(body), status, headers);
}
