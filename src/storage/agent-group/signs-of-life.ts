/**
 * Signs of life, flushed as one row for the whole group: a heartbeat must not cost a row.
 * The blob holds three 64-bit floats a slot: last sign of life, last credit, credits given.
 */
import type { Life } from "../../domain/liveness.ts";
import { first, type Sql } from "../sql.ts";

const FIELDS = 3;

export type Signs = { flushedAtMs: number; at(slot: number): Life | null };

export class SignStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  read(): Signs | null {
    const row = first<{ flushedAtMs: number; slots: ArrayBuffer }>(
      this.#sql,
      "SELECT flushed_at AS flushedAtMs, slots FROM signs WHERE id = 1",
    );
    if (row === undefined) return null;
    const numbers = new Float64Array(row.slots);
    return {
      flushedAtMs: row.flushedAtMs,
      at: (slot) => {
        const [lastSignMs, creditedAtMs, credits] = numbers.subarray(slot * FIELDS, slot * FIELDS + FIELDS);
        // A slot never written is all zeros.
        if (lastSignMs === undefined || lastSignMs === 0) return null;
        return { lastSignMs, creditedAtMs: creditedAtMs ?? 0, credits: credits ?? 0 };
      },
    };
  }

  /** @param lives each live agent's slot and life; @param slotCount one more than the highest slot */
  flush(nowMs: number, slotCount: number, lives: Iterable<{ slot: number; life: Life }>): void {
    const numbers = new Float64Array(slotCount * FIELDS);
    for (const { slot, life } of lives) {
      numbers[slot * FIELDS] = life.lastSignMs;
      numbers[slot * FIELDS + 1] = life.creditedAtMs;
      numbers[slot * FIELDS + 2] = life.credits;
    }
    this.#sql.all(
      "INSERT INTO signs (id, flushed_at, slots) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET flushed_at = excluded.flushed_at, slots = excluded.slots",
      nowMs,
      numbers.buffer,
    );
  }
}
