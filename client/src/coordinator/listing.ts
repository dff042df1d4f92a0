/** Lists: the first page for who awaits one, every item for who loops over it. */

export type Page<Item> = { items: Item[]; next_cursor: string | null };

/**
 * Awaited, the first page; in `for await`, every item, page after page.
 * @example
 * const { items, next_cursor } = await coordinator.tasks.list({ status: "failed", limit: 10 });
 * for await (const task of coordinator.tasks.list()) console.log(task.id, task.status);
 * console.log(items.length, next_cursor);
 */
export type Listing<Item> = Promise<Page<Item>> & AsyncIterable<Item>;

/** Size of a page, 1 to 500 (default 50), and the `next_cursor` of the page before. */
export type PageOptions = { limit?: number | undefined; cursor?: string | undefined };

export function listing<Item>(
  read: (cursor: string | undefined) => Promise<Page<Item>>,
  from?: string | undefined,
): Listing<Item> {
  const first = read(from);
  return Object.assign(first, {
    async *[Symbol.asyncIterator]() {
      for (let page = await first; ; page = await read(page.next_cursor)) {
        yield* page.items;
        if (page.next_cursor === null) return;
      }
    },
  });
}
