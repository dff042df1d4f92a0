import { describe, expect, it } from "vitest";
import { SendWindow } from "../../../../../src/services/agent-group/sockets/send-window.ts";

const WINDOW = 1024 * 1024;

describe("the window of frames in flight", () => {
  it("has room until it holds a mebibyte, for a last frame of any length", () => {
    const window = new SendWindow();
    window.add("one", { through: WINDOW - 1, characters: WINDOW - 1 });
    expect(window.hasRoom).toBe(true);
    window.add("two", { through: 9 * WINDOW, characters: 8 * WINDOW });
    expect(window.hasRoom).toBe(false);
    window.remove("two");
    expect(window.hasRoom).toBe(true);
    expect(window.isHalfFree).toBe(false);
    window.remove("one");
    expect(window.isHalfFree).toBe(true);
  });

  it("says once up to where an agent has read that acts upon a frame", () => {
    const window = new SendWindow();
    window.add("one", { through: 700, characters: 100 });
    expect(window.remove("another")).toBeNull();
    expect(window.remove("one")).toBe(700);
    expect(window.remove("one")).toBeNull();
  });

  it("counts a frame that was sent again once, at its last position", () => {
    const window = new SendWindow();
    for (let time = 1; time <= 20; time++) {
      window.add("one", { through: time * 100_000, characters: 100_000 });
    }
    expect(window.isHalfFree).toBe(true);
    expect(window.remove("one")).toBe(2_000_000);
  });
});
