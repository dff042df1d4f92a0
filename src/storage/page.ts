/** Lists read page by page, where a row may be large. */
import type { Page } from "../contract/common.ts";
import type { SqlValue } from "./sql.ts";

/** Rows read at a time while a page is put together. */
const CHUNK = 16;

/** A page that holds more text than this ends early: an answer has to fit into memory and through a call. */
const PAGE_CHARACTERS = 4_000_000;

/** Part of a list, and whether the list goes on behind it. */
export type Slice<Item> = { items: Item[]; hasMore: boolean };

/**
 * Reads rows until there are `limit` of them or they are large enough. At least one, if there is one.
 * @param next the next `count` rows behind `last`, which is undefined at the beginning
 */
export function readSlice<Row extends Record<string, SqlValue>>(
  limit: number,
  next: (count: number, last: Row | undefined) => Row[],
): Slice<Row> {
  const items: Row[] = [];
  let characters = 0;
  // One more than asked for shows whether there is more.
  while (items.length <= limit) {
    const count = Math.min(CHUNK, limit + 1 - items.length);
    const rows = next(count, items.at(-1));
    for (const row of rows) {
      if (characters > PAGE_CHARACTERS) return { items, hasMore: true };
      items.push(row);
      characters += charactersIn(row);
    }
    if (rows.length < count) return { items, hasMore: false };
  }
  return { items: items.slice(0, limit), hasMore: true };
}

function charactersIn(row: Record<string, SqlValue>): number {
  let characters = 0;
  for (const value of Object.values(row)) if (typeof value === "string") characters += value.length;
  return characters;
}

export function mapSlice<From, To>({ items, hasMore }: Slice<From>, view: (item: From) => To): Slice<To> {
  return { items: items.map(view), hasMore };
}

/** A slice as the API returns it. */
export function pageOf<Row, Item>(
  { items, hasMore }: Slice<Row>,
  view: (row: Row) => Item,
  cursorOf: (row: Row) => string,
): Page<Item> {
  const last = items.at(-1);
  return { items: items.map(view), next_cursor: hasMore && last !== undefined ? cursorOf(last) : null };
}

/** The cursor of lists whose rows are numbered. */
export const numberCursor = ({ number }: { number: number }): string => String(number);

/** The number in such a cursor; null for the beginning, and for what is not one of our cursors. */
export function numberOf(cursor: string | null): number | null {
  const number = Number(cursor);
  return cursor === null || !Number.isSafeInteger(number) ? null : number;
}
