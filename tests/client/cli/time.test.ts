/** Instants and durations as the command prints and reads them. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { age, clock, instantOf, inWords, localTimes } from "../../../client/src/cli/time.ts";

const NOW = "2026-06-30T12:00:00.000Z";

beforeAll(() => {
  vi.useFakeTimers({ now: new Date(NOW) });
});
afterAll(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

describe("an instant", () => {
  it.each([
    ["Europe/Berlin", "2026-01-31T23:30:00.000Z", "2026-02-01 00:30:00+01:00"],
    ["Europe/Berlin", "2026-06-30T22:30:00.000Z", "2026-07-01 00:30:00+02:00"],
    ["America/St_Johns", "2026-01-31T00:00:00.000Z", "2026-01-30 20:30:00-03:30"],
    ["UTC", "2026-01-31T23:30:00.000Z", "2026-01-31 23:30:00Z"],
  ])("is shown in the local time of %s, with its zone", (zone, instant, shown) => {
    vi.stubEnv("TZ", zone);
    expect(clock(instant)).toBe(shown);
    // What the command prints can be given to it.
    expect(instantOf(shown, "--since")).toBe(instant);
  });

  it("is shown in local time within a text of the coordinator", () => {
    vi.stubEnv("TZ", "Europe/Berlin");
    expect(localTimes("failed; tried again at 2026-01-31T09:00:00.250Z")).toBe(
      "failed; tried again at 2026-01-31 10:00:00+01:00",
    );
    expect(localTimes(null)).toBeUndefined();
  });

  it("is read from a duration before now", () => {
    expect(instantOf("1h", "--since")).toBe("2026-06-30T11:00:00.000Z");
    expect(instantOf("90s", "--since")).toBe("2026-06-30T11:58:30.000Z");
    expect(instantOf("1.5d", "--since")).toBe("2026-06-29T00:00:00.000Z");
    expect(instantOf(undefined, "--since")).toBeUndefined();
  });

  it("is refused with the forms that are allowed", () => {
    for (const word of ["yesterday", "1", "h", "1 h", ""])
      expect(() => instantOf(word, "--since")).toThrow(
        "--since must be a duration such as 90s, 15m, 1h or 2d",
      );
    expect(() => instantOf("2026-13-01", "--since")).toThrow("or a time such as 2026-01-31T09:00:00Z");
  });
});

it("an age has one unit", () => {
  expect(age("2026-06-30T11:59:57.000Z")).toBe("3s");
  expect(age("2026-06-30T10:29:00.000Z")).toBe("91m");
  expect(age("2026-06-29T11:59:00.000Z")).toBe("24h");
  expect(age("2026-07-01T00:00:00.000Z")).toBe("0s");
  expect(inWords(3 * 86_400_000)).toBe("3d");
});
