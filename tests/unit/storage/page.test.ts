import { describe, expect, it } from "vitest";
import { numberCursor, numberOf, pageOf, readSlice } from "../../../src/storage/page.ts";

const rows = (count: number, text = "") => Array.from({ length: count }, (_, number) => ({ number, text }));

/** Reads from a list as a query does. */
function sliceOf(all: { number: number; text: string }[], limit: number) {
  return readSlice<{ number: number; text: string }>(limit, (count, last) => {
    const from = last === undefined ? 0 : last.number + 1;
    return all.slice(from, from + count);
  });
}

describe("a slice", () => {
  it.each([
    { stored: 0, limit: 5, read: 0, hasMore: false },
    { stored: 5, limit: 5, read: 5, hasMore: false },
    { stored: 6, limit: 5, read: 5, hasMore: true },
    { stored: 100, limit: 40, read: 40, hasMore: true },
    { stored: 33, limit: 500, read: 33, hasMore: false },
  ])("of at most $limit out of $stored rows has $read", ({ stored, limit, read, hasMore }) => {
    const slice = sliceOf(rows(stored), limit);
    expect(slice.items.map(({ number }) => number)).toEqual(rows(read).map(({ number }) => number));
    expect(slice.hasMore).toBe(hasMore);
  });

  it("of large rows ends early, and the next one begins after its last row", () => {
    const slice = sliceOf(rows(20, "x".repeat(1_000_000)), 500);
    expect(slice.items).toHaveLength(5);
    expect(slice.hasMore).toBe(true);
  });
});

describe("a page", () => {
  it("has the cursor of its last row while there is more, and none at the end", () => {
    const view = ({ number }: { number: number }) => number;
    expect(pageOf(sliceOf(rows(3), 2), view, numberCursor)).toEqual({ items: [0, 1], next_cursor: "1" });
    expect(pageOf(sliceOf(rows(2), 2), view, numberCursor)).toEqual({ items: [0, 1], next_cursor: null });
  });

  it("begins at the beginning without a cursor, and with one that is no number", () => {
    expect([null, "12", "x", "1e99"].map(numberOf)).toEqual([null, 12, null, null]);
  });
});
