/** Conversion between milliseconds and the instants and durations of the wire. */

export function instant(ms: number): string {
  return new Date(ms).toISOString();
}

export function instantOrNull(ms: number | null): string | null {
  return ms === null ? null : instant(ms);
}

/** @param text an RFC 3339 instant that passed validation */
export function msOf(text: string): number {
  return Date.parse(text);
}

export function secondsOrNull(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}

export function msOrNull(seconds: number | null | undefined): number | null {
  return seconds === null || seconds === undefined ? null : Math.round(seconds * 1000);
}
