import { describe, expect, it } from "vitest";
import { exceedsLimit, withFrames } from "../../../src/protocol/frame-rate-limit.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const MEBIBYTE = 1024 * 1024;

describe("the rate of a connection's frames", () => {
  it("is within the limit at 20,000 frames a second, and beyond it with one more", () => {
    const full = withFrames(undefined, { frames: 20_000, characters: 0 }, NOW_MS);
    expect(exceedsLimit(full)).toBe(false);
    expect(exceedsLimit(withFrames(full, { frames: 1, characters: 0 }, NOW_MS + 999))).toBe(true);
  });

  it("is within the limit at 64 Mi characters a second, and beyond it with one more", () => {
    const full = withFrames(undefined, { frames: 1, characters: 64 * MEBIBYTE }, NOW_MS);
    expect(exceedsLimit(full)).toBe(false);
    expect(exceedsLimit(withFrames(full, { frames: 0, characters: 1 }, NOW_MS))).toBe(true);
  });

  it("is counted anew when a second has passed since the first frame", () => {
    const full = withFrames(undefined, { frames: 20_000, characters: 5 }, NOW_MS);
    expect(withFrames(full, { frames: 1, characters: 7 }, NOW_MS + 1000)).toEqual({
      sinceMs: NOW_MS + 1000,
      frames: 1,
      characters: 7,
    });
  });
});
