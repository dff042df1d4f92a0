/**
 * Signs of life, flushed as one row for the whole group: a heartbeat must not cost a row of its own.
 * The blob holds three 64-bit floats for each slot: the last sign of life, the last extension, and the number
 * of extensions.
 */
import type { SignsOfLife } from "../../domain/liveness.ts";
import { first, type Sql } from "../sql.ts";

const FIELDS = 3;

export type StoredSigns = { flushedAtMs: number; at(slot: number): SignsOfLife | null };

export class SignsOfLifeStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  read(): StoredSigns | null {
    const row = first<{ flushedAtMs: number; slots: ArrayBuffer }>(
      this.#sql,
      "SELECT flushed_at AS flushedAtMs, slots FROM signs_of_life WHERE id = 1",
    );
    if (row === undefined) return null;
    const numbers = new Float64Array(row.slots);
    return {
      flushedAtMs: row.flushedAtMs,
      at: (slot) => {
        const [lastSignMs, extendedAtMs, extensions] = numbers.subarray(
          slot * FIELDS,
          slot * FIELDS + FIELDS,
        );
        // A slot never written is all zeros.
        if (lastSignMs === undefined || lastSignMs === 0) return null;
        return { lastSignMs, extendedAtMs: extendedAtMs ?? 0, extensions: extensions ?? 0 };
      },
    };
  }

  /** @param lives each live agent's slot and life; @param slotCount one more than the highest slot */
  flush(nowMs: number, slotCount: number, lives: Iterable<{ slot: number; life: SignsOfLife }>): void {
    const numbers = new Float64Array(slotCount * FIELDS);
    for (const { slot, life } of lives) {
      numbers[slot * FIELDS] = life.lastSignMs;
      numbers[slot * FIELDS + 1] = life.extendedAtMs;
      numbers[slot * FIELDS + 2] = life.extensions;
    }
    this.#sql.all(
      "INSERT INTO signs_of_life (id, flushed_at, slots) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET flushed_at = excluded.flushed_at, slots = excluded.slots",
      nowMs,
      numbers.buffer,
    );
  }
}
