/** Which reported loads are worth a message to the coordinator. */
import type { Load } from "../../../contract/agent.ts";

/** At most one report an agent in this time: loads must not become traffic. */
const REPORT_PERIOD_MS = 10_000;

/** A smaller change does not alter a placement. */
const REPORT_DELTA = 0.1;

export function isWorthReporting(
  reported: { load: Load; atMs: number } | null,
  load: Load,
  nowMs: number,
): boolean {
  if (reported === null) return true;
  if (nowMs - reported.atMs < REPORT_PERIOD_MS) return false;
  return (
    Math.abs(reported.load.cpu - load.cpu) > REPORT_DELTA ||
    Math.abs(reported.load.memory - load.memory) > REPORT_DELTA
  );
}
