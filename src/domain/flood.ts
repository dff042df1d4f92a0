/**
 * How much one connection may say at once. Pure. A window begins with its first frame and is a second long.
 */

/** Generous: many times what one agent can have to report. */
const FRAMES_PER_SECOND = 20_000;
const CHARACTERS_PER_SECOND = 64 * 1024 * 1024;

const WINDOW_MS = 1000;

export type Meter = { readonly sinceMs: number; readonly frames: number; readonly characters: number };

/** The meter after a frame of that length. */
export function metered(meter: Meter | undefined, characters: number, nowMs: number): Meter {
  if (meter === undefined || nowMs - meter.sinceMs >= WINDOW_MS) {
    return { sinceMs: nowMs, frames: 1, characters };
  }
  return { ...meter, frames: meter.frames + 1, characters: meter.characters + characters };
}

export function isFlood({ frames, characters }: Meter): boolean {
  return frames > FRAMES_PER_SECOND || characters > CHARACTERS_PER_SECOND;
}
