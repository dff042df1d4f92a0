/**
 * The one way a service changes its state: read the clock once, let the work run in one
 * transaction together with the alarm it needs, then emit what the work asked for.
 * If the work throws, nothing is stored, memory is read anew, and nothing is emitted. If
 * it refuses (an `Outcome` that is not ok), nothing is stored or emitted either; a refusal
 * comes before the first change of memory.
 */
import type { Outcome } from "../contract/problem.ts";
import { isMigrated, type Migrations, migrate } from "../storage/migrations.ts";
import type { Host } from "./host.ts";

export type WorkParts = {
  migrations: Migrations;
  /** Reads everything that memory mirrors from storage. */
  load(nowMs: number): void;
  /** The earliest instant at which this object has work to do, or null. */
  nextWorkMs(nowMs: number): number | null;
};

/** An alarm this long overdue was lost by the platform: it is armed again. */
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
  /** The instant the alarm stands at, as far as this instance knows. */
  #armedAtMs: number | null = null;
  #lastNowMs = 0;

  constructor(host: Host, parts: WorkParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** Now, never earlier than an instant this instance has seen already. */
  nowMs(): number {
    this.#lastNowMs = Math.max(this.#lastNowMs, this.#host.clock.nowMs());
    return this.#lastNowMs;
  }

  /** Runs `work` as one atomic change. Not to be nested: a service's public calls begin here, its parts never do. */
  commit<Result>(work: (nowMs: number) => Result): Result {
    if (this.#running) throw new Error("a commit within a commit");
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
      // What was loaded in this very transaction may mirror writes that are undone.
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

  /** Runs `work` as if it were to be kept, and keeps nothing of it: memory is read anew afterwards. */
  dryRun<Result>(work: (nowMs: number) => Result): Result {
    const imagined = this.commit((nowMs): Outcome<never> => {
      throw new RolledBack(work(nowMs));
    });
    this.#loaded = false;
    return imagined as Result;
  }

  /** Has `effect` run once the present work is stored; dropped if it is not. */
  afterCommit(effect: () => void): void {
    this.#effects.push(effect);
  }

  /** The platform's alarm went off: it is no longer set. */
  alarmFired(): void {
    this.#armedAtMs = null;
  }

  /** What is stored is stored: an effect that breaks is on the log, and the others follow. */
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
    // An alarm that stands earlier than needed is left: it will look and find nothing to do.
    if (this.#armedAtMs !== null && this.#armedAtMs <= atMs && !isLost) return;
    this.#host.alarm.set(atMs);
    this.#armedAtMs = atMs;
  }
}
