/** Items that arrive one by one, and how to wait for a certain one. */

export class Stream<Item> {
  readonly items: Item[] = [];
  readonly #waiting = new Set<(item: Item) => void>();

  add(item: Item): void {
    this.items.push(item);
    for (const check of [...this.#waiting]) check(item);
  }

  /** The first item that matches, now or later. */
  first(fits: (item: Item) => boolean): Promise<Item> {
    const known = this.items.find(fits);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => {
      const check = (item: Item) => {
        if (!fits(item)) return;
        this.#waiting.delete(check);
        resolve(item);
      };
      this.#waiting.add(check);
    });
  }
}
