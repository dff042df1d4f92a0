/** What each system under comparison provides: a server, workers as real processes, and one piece of work to hand over. */

/** A command whose process does the work, or holds the lock, and says so with a line on stdout. */
export type WorkerCommand = {
  readonly program: string;
  readonly words: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

export interface RunningSystem extends AsyncDisposable {
  /** The version of what runs, as it reports it. */
  readonly version: string;
  /** @param round names a queue, cluster or lock of its own, so that rounds do not meet */
  worker(round: string, name: string): WorkerCommand;
  /** Before the workers of a round start. */
  prepare?(round: string): Promise<void>;
  /** Submits the one task of a round; does nothing for a lock. */
  submit(round: string): Promise<void>;
  /** What the system stores as the result of that task; absent for a lock. */
  result?(round: string): Promise<string>;
}

export type System = {
  readonly name: string;
  /** The settings that decide how long detection takes, in one line. */
  readonly settings: string;
  /** The moments of death are spread evenly over this period: that of the slowest timer of the system. */
  readonly spreadMs: number;
  /** No round takes longer than this unless something is broken. */
  readonly limitMs: number;
  start(): Promise<RunningSystem>;
};

/** Lines that workers print. */
export const READY = "ready";
export const STARTED = "started";
/** Followed by what the system answered to a completion. */
export const OUTCOME = "outcome ";
/** The line on stdin that lets the handler of a worker return. */
export const FINISH = "finish";
