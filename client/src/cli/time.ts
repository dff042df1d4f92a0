/** Instants and durations as people read and write them. Instants are shown in local time, with its zone. */
import { UsageError } from "./command.ts";

/** `2026-11-22T19:15:00.000Z` as `2026-11-22 20:15:00+01:00`, where local time is an hour ahead. */
export function clock(instant: string | null): string {
  if (instant === null) return "";
  const at = new Date(instant);
  const offset = -at.getTimezoneOffset();
  const local = new Date(at.getTime() + offset * 60_000).toISOString();
  return `${local.slice(0, 19).replace("T", " ")}${zone(offset)}`;
}

/** A text of the coordinator with each of its instants in local time. */
export const localTimes = (text: string | null | undefined) =>
  text?.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, clock);

const two = (value: number) => String(value).padStart(2, "0");

function zone(offsetMinutes: number): string {
  if (offsetMinutes === 0) return "Z";
  const size = Math.abs(offsetMinutes);
  return `${offsetMinutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The time since an instant in its largest unit: `40s`, `3m`, `2h`, `5d`. */
export const age = (instant: string | null) =>
  instant === null ? "" : inWords(Date.now() - Date.parse(instant));

export function inWords(durationMs: number): string {
  const fitting = Object.entries(UNITS).filter(([, size]) => durationMs >= 2 * size);
  const [unit, size] = fitting.at(-1) ?? ["s", UNITS.s];
  return `${Math.max(0, Math.floor(durationMs / size))}${unit}`;
}

/** A duration such as `90s`, `15m`, `1h` or `2d`, in milliseconds. @throws {UsageError} */
export function durationMs(word: string, name: string): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(word) ?? [];
  if (count === undefined) throw new UsageError(`${name} must be a duration such as 90s, 15m, 1h or 2d`);
  return Number(count) * UNITS[unit as keyof typeof UNITS];
}

/** An instant, or a duration before now, as RFC 3339. @throws {UsageError} */
export function instantOf(value: unknown, name: string): string | undefined {
  if (value === undefined) return undefined;
  const word = String(value);
  const atMs = /^\d{4}-/.test(word) ? Date.parse(word) : Date.now() - durationMs(word, name);
  if (Number.isNaN(atMs))
    throw new UsageError(`${name} must be a duration such as 1h, or a time such as 2026-01-31T09:00:00Z`);
  return new Date(atMs).toISOString();
}
