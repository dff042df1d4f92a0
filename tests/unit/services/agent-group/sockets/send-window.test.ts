/** How much was pushed to an agent and is still to be acted upon. */
import { describe, expect, it } from "vitest";
import { SendWindow } from "../../../../../src/services/agent-group/sockets/send-window.ts";

const ROOM = 1024 * 1024;

describe("what is outstanding", () => {
  it("leaves room for another until it is a mebibyte, however long the last one was", () => {
    const outstanding = new SendWindow();
    outstanding.add("one", { through: ROOM - 1, characters: ROOM - 1 });
    expect(outstanding.hasRoom).toBe(true);
    outstanding.add("two", { through: 9 * ROOM, characters: 8 * ROOM });
    expect(outstanding.hasRoom).toBe(false);
    outstanding.remove("two");
    expect(outstanding.hasRoom).toBe(true);
    expect(outstanding.isHalfFree).toBe(false);
    outstanding.remove("one");
    expect(outstanding.isHalfFree).toBe(true);
  });

  it("tells once how far was read by who acts upon it", () => {
    const outstanding = new SendWindow();
    outstanding.add("one", { through: 700, characters: 100 });
    expect(outstanding.remove("another")).toBeNull();
    expect(outstanding.remove("one")).toBe(700);
    expect(outstanding.remove("one")).toBeNull();
  });

  it("counts what was said twice once", () => {
    const outstanding = new SendWindow();
    for (let time = 1; time <= 20; time++)
      outstanding.add("one", { through: time * 100_000, characters: 100_000 });
    expect(outstanding.isHalfFree).toBe(true);
    expect(outstanding.remove("one")).toBe(2_000_000);
  });
});
