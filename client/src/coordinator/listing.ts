/** Lists of the API: awaited, the first page; in a loop, every item. */
import type { CallOptions, Http } from "../http.ts";

export type Page<Item> = { items: Item[]; next_cursor: string | null };

/**
 * Awaited, the first page; in `for await`, every item, page after page.
 * @example
 * const { items, next_cursor } = await coordinator.tasks.list({ status: "failed", limit: 10 });
 * for await (const task of coordinator.tasks.list()) console.log(task.id, task.status);
 * console.log(items.length, next_cursor);
 */
export type Listing<Item> = Promise<Page<Item>> & AsyncIterable<Item>;

/** The page size, 1 to 500 (default 50), and the `next_cursor` of the previous page. */
export type PageOptions = { limit?: number | undefined; cursor?: string | undefined };

export function listing<Item>(
  http: Http,
  path: string,
  { filter = {}, options }: { filter?: PageOptions; options?: CallOptions | undefined },
): Listing<Item> {
  const read = (cursor: string | null | undefined) =>
    http.call<Page<Item>>("GET", path, { ...options, query: { ...filter, cursor } });
  const first = read(filter.cursor);
  return Object.assign(first, {
    async *[Symbol.asyncIterator]() {
      for (let page = await first; ; page = await read(page.next_cursor)) {
        yield* page.items;
        if (page.next_cursor === null) return;
      }
    },
  });
}
