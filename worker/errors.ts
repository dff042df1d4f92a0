/**
 * From an expected failure to HTTP: one way to write a problem (RFC 9457). Errors may name a
 * key, never repeat a value.
 */
import type { Context } from "hono";
import { type Outcome, PROBLEMS, type Problem, problemItem } from "../src/contract/problem.ts";
import type { Vars } from "./app-types.ts";

export { problemItem };

/** Seconds after which an unavailable service is worth another try. */
const RETRY_AFTER_SECONDS = 1;

/** Carries a refusal out of a handler to the one place that writes it. */
export class Refused extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.code);
    this.problem = problem;
  }
}

/** The value, or the refusal thrown. */
export function unwrap<Value>(outcome: Outcome<Value>): Value {
  if (outcome.ok) return outcome.value;
  throw new Refused(outcome.problem);
}

export function problemResponse(c: Context<Vars>, problem: Problem): Response {
  const { status } = PROBLEMS[problem.code];
  const body = { ...problemItem(problem), request_id: c.get("requestId") };
  const headers: Record<string, string> = { "Content-Type": "application/problem+json" };
  if (status === 401) headers["WWW-Authenticate"] = "Bearer";
  if (status === 429 || problem.code === "unavailable") headers["Retry-After"] = String(RETRY_AFTER_SECONDS);
  return c.body(JSON.stringify(body), status, headers);
}
