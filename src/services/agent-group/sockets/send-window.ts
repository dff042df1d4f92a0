/**
 * What was pushed on one connection and is still to be acted upon, so that no more is pushed than an agent gets done.
 * Whoever acts upon something has read everything up to it.
 */
import type { SentFrame } from "./frame-sender.ts";

/** In UTF-16 units. With as much as this outstanding, the next waits. */
const ROOM = 1024 * 1024;

export class SendWindow {
  readonly #said = new Map<string, SentFrame>();
  #characters = 0;

  add(key: string, said: SentFrame): void {
    this.remove(key);
    this.#said.set(key, said);
    this.#characters += said.characters;
  }

  /** It was acted upon, or is not the agent's any more. @returns how far the agent has read if it acted upon it, or null if it was not outstanding */
  remove(key: string): number | null {
    const said = this.#said.get(key);
    if (said === undefined) return null;
    this.#said.delete(key);
    this.#characters -= said.characters;
    return said.through;
  }

  /** Whether another may be pushed, however long it is. */
  get hasRoom(): boolean {
    return this.#characters < ROOM;
  }

  /** Whether so much was done that looking for more is worth it. */
  get isRelieved(): boolean {
    return this.#characters <= ROOM / 2;
  }
}
