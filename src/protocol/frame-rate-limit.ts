/** How much one connection may send at once. Pure. A window begins with its first frame and is a second long. */

/** Generous: many times what one agent can have to report. */
const FRAMES_PER_SECOND = 20_000;
const CHARACTERS_PER_SECOND = 64 * 1024 * 1024;

const WINDOW_MS = 1000;

export type FrameCount = { readonly sinceMs: number; readonly frames: number; readonly characters: number };

export type FrameSize = { readonly frames: number; readonly characters: number };

/** The count after further frames; a batch counts as the frames in it. */
export function withFrames(count: FrameCount | undefined, received: FrameSize, nowMs: number): FrameCount {
  if (count === undefined || nowMs - count.sinceMs >= WINDOW_MS) return { sinceMs: nowMs, ...received };
  return {
    ...count,
    frames: count.frames + received.frames,
    characters: count.characters + received.characters,
  };
}

export function exceedsLimit({ frames, characters }: FrameCount): boolean {
  return frames > FRAMES_PER_SECOND || characters > CHARACTERS_PER_SECOND;
}
