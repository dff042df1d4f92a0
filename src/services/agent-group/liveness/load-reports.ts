/** Which loads from heartbeats the group reports to the coordinator: few, so that loads do not become traffic. */
import type { Load } from "../../../contract/agent.ts";
import type { GroupContext } from "../group-context.ts";
import type { Session } from "./sessions.ts";

/** At most one report per agent in this time. */
const REPORT_PERIOD_MS = 10_000;

/** A smaller change does not alter a placement. */
const REPORT_DELTA = 0.1;

export class LoadReports {
  readonly #context: Pick<GroupContext, "unit" | "outbox">;

  constructor(context: Pick<GroupContext, "unit" | "outbox">) {
    this.#context = context;
  }

  /** Records a load in memory. @returns whether it is to be reported */
  record(session: Session, load: Load): boolean {
    session.load = load;
    return isWorthReporting(session.reportedLoad, load, this.#context.unit.nowMs());
  }

  /** Reports a load to the coordinator, in the present transaction. */
  report(session: Session, load: Load, nowMs: number): void {
    const { agentId, incarnation } = session;
    session.reportedLoad = { load, atMs: nowMs };
    this.#context.outbox.send("coordinator", { type: "load_reported", agentId, incarnation, load });
  }
}

export function isWorthReporting(reported: Session["reportedLoad"], load: Load, nowMs: number): boolean {
  if (reported === null) return true;
  if (nowMs - reported.atMs < REPORT_PERIOD_MS) return false;
  return (
    Math.abs(reported.load.cpu - load.cpu) > REPORT_DELTA ||
    Math.abs(reported.load.memory - load.memory) > REPORT_DELTA
  );
}
