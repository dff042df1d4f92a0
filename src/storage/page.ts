/** Putting together a page of rows that may be large. */
import type { SqlValue } from "./sql.ts";

/** Rows read at a time while a page is put together. */
const CHUNK = 16;

/** What one page may hold of text: an answer has to fit into memory with room to spare. */
const PAGE_CHARACTERS = 4_000_000;

/** Part of a list, and whether there is more behind it. */
export type Slice<Item> = { items: Item[]; hasMore: boolean };

/** Puts a page together until it has `limit` rows or is large enough. */
export function readSlice<Item extends Record<string, SqlValue>>(
  limit: number,
  next: (count: number) => Item[],
): Slice<Item> {
  const items: Item[] = [];
  let characters = 0;
  // One more than asked for tells whether there is more.
  while (items.length <= limit) {
    if (characters > PAGE_CHARACTERS) return { items, hasMore: true };
    const count = Math.min(CHUNK, limit + 1 - items.length);
    const chunk = next(count);
    for (const row of chunk) characters += charactersIn(row);
    items.push(...chunk);
    if (chunk.length < count) return { items, hasMore: false };
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
