/**
 * How much one connection may say at once. Pure. A window begins with its first frame and is a second long.
 */

/** Generous: many times what one agent can have to report. */
const FRAMES_PER_SECOND = 20_000;
const CHARACTERS_PER_SECOND = 64 * 1024 * 1024;

const WINDOW_MS = 1000;

export type Meter = { readonly sinceMs: number; readonly frames: number; readonly characters: number };

export type Heard = { readonly frames: number; readonly characters: number };

/** The meter after that much more; a batch counts as the frames in it. */
export function metered(meter: Meter | undefined, heard: Heard, nowMs: number): Meter {
  if (meter === undefined || nowMs - meter.sinceMs >= WINDOW_MS) return { sinceMs: nowMs, ...heard };
  return {
    ...meter,
    frames: meter.frames + heard.frames,
    characters: meter.characters + heard.characters,
  };
}

export function isFlood({ frames, characters }: Meter): boolean {
  return frames > FRAMES_PER_SECOND || characters > CHARACTERS_PER_SECOND;
}
