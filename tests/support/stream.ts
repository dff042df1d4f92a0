/** Things that arrive one by one, and how to wait for a certain one. */

export class Stream<Item> {
  readonly items: Item[] = [];
  readonly #waiting = new Set<(item: Item) => void>();

  add(item: Item): void {
    this.items.push(item);
    for (const look of [...this.#waiting]) look(item);
  }

  /** The first that fits, come already or yet to come. */
  first(fits: (item: Item) => boolean): Promise<Item> {
    const known = this.items.find(fits);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => {
      const look = (item: Item) => {
        if (!fits(item)) return;
        this.#waiting.delete(look);
        resolve(item);
      };
      this.#waiting.add(look);
    });
  }
}
