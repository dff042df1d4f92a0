/**
 * Passes reports on tasks from sockets to the coordinator, in the order in which they came: one call at a time, and the
 * reports that come meanwhile go together in the next. A report whose call ran into the time limit may still arrive
 * later; it was answered `unavailable`.
 */
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import type { ServerFrame } from "../../../contract/socket.ts";
import type { TaskState } from "../../../contract/task.ts";
import type { Host } from "../../host.ts";
import { type FrameRequest, outcomeFrame, type ReportFrame } from "./frame-request.ts";

/** Reports in one call, as in one batch over HTTP, and about as many characters as one call can carry well. */
const REPORTS_PER_CALL = 1000;
const CHARACTERS_PER_CALL = 8_388_608;

/** How long a call waits for the coordinator's answer. */
const CALL_LIMIT_MS = 10_000;

const UNREACHABLE = refuse(
  "unavailable",
  "the coordinator did not answer; the report may have arrived: send it again",
);

type Request = FrameRequest<ReportFrame>;

export class TaskReportRelay {
  readonly #host: Pick<Host, "peers" | "log" | "after">;
  readonly #answer: (request: Request, frame: ServerFrame) => void;
  #waiting: Request[] = [];
  #isCalling = false;

  constructor(
    host: Pick<Host, "peers" | "log" | "after">,
    answer: (request: Request, frame: ServerFrame) => void,
  ) {
    this.#host = host;
    this.#answer = answer;
  }

  /** Adds a report to the next call. */
  add(request: Request): void {
    this.#waiting.push(request);
  }

  /** Makes the next call, unless one is under way. */
  send(): void {
    if (this.#isCalling || this.#waiting.length === 0) return;
    const sent = this.#waiting.splice(0, callLength(this.#waiting));
    this.#isCalling = true;
    void this.#call(sent).then((outcomes) => {
      this.#isCalling = false;
      sent.forEach((request, index) => {
        const outcome = outcomes?.[index] ?? UNREACHABLE;
        const answered = outcome.ok ? ok({ task: outcome.value }) : outcome;
        this.#answer(request, outcomeFrame(request.frame.request_id, answered));
      });
      this.send();
    });
  }

  /** @returns null if the coordinator could not be reached, or did not answer in time */
  async #call(requests: readonly Request[]): Promise<Outcome<TaskState>[] | null> {
    const reports = requests.map(({ principal, frame }) => ({ principal, frame }));
    let cancel = () => {};
    const late = new Promise<null>((resolve) => {
      cancel = this.#host.after(CALL_LIMIT_MS, () => resolve(null));
    });
    try {
      return await Promise.race([this.#host.peers.report(reports), late]);
    } catch (error) {
      this.#host.log.line("warn", "reports_failed", { count: reports.length, error: String(error) });
      return null;
    } finally {
      cancel();
    }
  }
}

/** How many of the reports go together; always one. */
function callLength(reports: readonly Request[]): number {
  let characters = 0;
  const length = reports.findIndex((request, index) => {
    characters += request.characters;
    return index > 0 && (index >= REPORTS_PER_CALL || characters > CHARACTERS_PER_CALL);
  });
  return length < 0 ? reports.length : length;
}
