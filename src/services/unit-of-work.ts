/**
 * The one way in which a service changes its state. The clock is read once, the work and its alarm are one transaction, and
 * the effects that the work asked for run after the commit. If the work throws, nothing is stored, memory is read anew, and
 * no effect runs. If the work refuses (returns an `Outcome` that is not ok), nothing is stored and no effect runs either;
 * a refusal comes before the first change of memory.
 */
import type { Outcome } from "../contract/problem.ts";
import { isMigrated, type Migrations, migrate } from "../storage/migrations.ts";
import type { Host } from "./host.ts";

export type WorkParts = {
  migrations: Migrations;
  /** Reads from storage everything that memory mirrors. */
  load(nowMs: number): void;
  /** The earliest instant at which this object has work to do, or null. */
  nextWorkMs(nowMs: number): number | null;
};

/** The platform has lost an alarm that is overdue by so much: it is armed again. */
const LOST_ALARM_MS = 90_000;

/** Leaves a transaction with a result and without a trace. */
class RolledBack {
  readonly result: unknown;

  constructor(result: unknown) {
    this.result = result;
  }
}

function isRefusal(outcome: unknown): boolean {
  return typeof outcome === "object" && outcome !== null && "ok" in outcome && outcome.ok === false;
}

export class UnitOfWork {
  readonly #host: Host;
  readonly #parts: WorkParts;
  #effects: (() => void)[] = [];
  #loaded = false;
  #running = false;
  /** When the alarm is due, as far as this instance knows. */
  #armedAtMs: number | null = null;
  #lastNowMs = 0;

  constructor(host: Host, parts: WorkParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** Now, and never earlier than an instant that this instance has seen. */
  nowMs(): number {
    this.#lastNowMs = Math.max(this.#lastNowMs, this.#host.clock.nowMs());
    return this.#lastNowMs;
  }

  /** Runs `work` as one atomic change. Calls are not nested: `work` itself never commits. */
  commit<Result>(work: (nowMs: number) => Result): Result {
    if (this.#running)
      throw new Error("a commit within a commit: the outer one must call the part that takes nowMs");
    this.#running = true;
    const nowMs = this.nowMs();
    const before = { loaded: this.#loaded, armedAtMs: this.#armedAtMs };
    let result: Result;
    try {
      result = this.#host.sql.transaction(() => {
        this.#ensureLoaded(nowMs);
        const outcome = work(nowMs);
        if (isRefusal(outcome)) throw new RolledBack(outcome);
        this.#arm(nowMs);
        return outcome;
      });
    } catch (error) {
      this.#effects = [];
      this.#armedAtMs = before.armedAtMs;
      // Memory that was loaded in this transaction may mirror writes that are undone.
      this.#loaded = before.loaded && error instanceof RolledBack;
      if (error instanceof RolledBack) return error.result as Result;
      throw error;
    } finally {
      this.#running = false;
    }
    const effects = this.#effects;
    this.#effects = [];
    for (const effect of effects) this.#emit(effect);
    return result;
  }

  /** Reads without changing anything. An object that stores nothing yet still stores nothing afterwards. */
  read<Result>(work: (nowMs: number) => Result): Result {
    if (this.#loaded) return work(this.nowMs());
    if (isMigrated(this.#host.sql)) return this.commit(work);
    return this.dryRun(work);
  }

  /** Runs `work` and keeps nothing of it; memory is read anew afterwards. */
  dryRun<Result>(work: (nowMs: number) => Result): Result {
    const result = this.commit((nowMs): Outcome<never> => {
      throw new RolledBack(work(nowMs));
    });
    this.#loaded = false;
    return result as Result;
  }

  /** Runs `effect` once the present work is stored; drops it if the work is not stored. */
  afterCommit(effect: () => void): void {
    this.#effects.push(effect);
  }

  /** The platform's alarm has fired: it is set no longer. */
  alarmFired(): void {
    this.#armedAtMs = null;
  }

  /** The work is stored already: an effect that fails is logged, and the others run. */
  #emit(effect: () => void): void {
    try {
      effect();
    } catch (error) {
      this.#host.log.line("error", "effect_failed", { error: String(error) });
    }
  }

  #ensureLoaded(nowMs: number): void {
    if (this.#loaded) return;
    migrate(this.#host.sql, this.#parts.migrations);
    this.#parts.load(nowMs);
    this.#loaded = true;
  }

  #arm(nowMs: number): void {
    const wantedMs = this.#parts.nextWorkMs(nowMs);
    if (wantedMs === null) {
      if (this.#armedAtMs !== null) this.#host.alarm.clear();
      this.#armedAtMs = null;
      return;
    }
    const atMs = Math.max(wantedMs, nowMs + 1);
    const isLost = this.#armedAtMs !== null && this.#armedAtMs < nowMs - LOST_ALARM_MS;
    // An alarm that is earlier than needed is left: it will find nothing to do, and arm itself anew.
    if (this.#armedAtMs !== null && this.#armedAtMs <= atMs && !isLost) return;
    this.#host.alarm.set(atMs);
    this.#armedAtMs = atMs;
  }
}
