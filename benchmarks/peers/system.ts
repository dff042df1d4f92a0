/** The interface of each compared system: a server, workers as real processes, and one task or lock to take over. */

/** A command whose process runs the task, or holds the lock, and reports it with a line on stdout. */
export type WorkerCommand = {
  readonly program: string;
  readonly words: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

export interface RunningSystem extends AsyncDisposable {
  /** The version of the system, as it reports it. */
  readonly version: string;
  /** @param round names a queue, cluster or lock of its own, so that rounds are independent */
  worker(round: string, name: string): WorkerCommand;
  /** Runs before the workers of a round start. */
  prepare?(round: string): Promise<void>;
  /** Submits the one task of a round; does nothing for a lock. */
  submit(round: string): Promise<void>;
  /** The result that the system stores for that task; absent for a lock. */
  result?(round: string): Promise<string>;
}

export type System = {
  readonly name: string;
  /** The settings that decide how long detection takes, in one line. */
  readonly settings: string;
  /** Kills are spread evenly over this period: that of the slowest timer of the system. */
  readonly spreadMs: number;
  /** A round that takes longer is an error. */
  readonly limitMs: number;
  start(): Promise<RunningSystem>;
};

/** The lines that workers print. */
export const READY = "ready";
export const STARTED = "started";
/** Followed by the system's answer to a completion. */
export const OUTCOME = "outcome ";
/** The line on stdin that lets the handler of a worker return. */
export const FINISH = "finish";
