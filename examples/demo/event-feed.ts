/**
 * The events of a cluster in order, each with the time at which the demo saw it. A broken stream is resumed after its
 * last event, so no event is missed.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Event } from "../../src/contract/event.ts";
import { type Api, NotSeen, reasonOf } from "./api.ts";

export type Seen = Event & { seenAtMs: number };

const RECONNECT_MS = 300;

export class EventFeed {
  readonly #api: Api;
  readonly #seen: Seen[] = [];
  #read = 0;
  #lastId = 0;
  #broken = "";
  #wake = () => {};

  constructor(api: Api) {
    this.#api = api;
    void this.#follow();
  }

  /** The next unread event. */
  async next(what: string, limitMs: number): Promise<Seen> {
    const untilMs = performance.now() + limitMs;
    for (;;) {
      const event = this.#seen[this.#read];
      if (event !== undefined) {
        this.#read += 1;
        return event;
      }
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) {
        const why = this.#broken === "" ? "" : ` (the event stream: ${this.#broken})`;
        throw new NotSeen(`not seen within ${limitMs / 1000} s: ${what}${why}`);
      }
      await Promise.race([delay(leftMs), new Promise<void>((resolve) => (this.#wake = resolve))]);
    }
  }

  /** Reads up to the first matching event and returns it. */
  async until(what: string, matches: (event: Seen) => boolean, limitMs: number): Promise<Seen> {
    const untilMs = performance.now() + limitMs;
    for (;;) {
      const event = await this.next(what, Math.max(1, untilMs - performance.now()));
      if (matches(event)) return event;
    }
  }

  async #follow(): Promise<void> {
    for (;;) {
      try {
        const response = await this.#api.stream(this.#lastId);
        if (!response.ok || response.body === null) throw new Error(`answered ${response.status}`);
        this.#broken = "";
        await this.#readBlocks(response.body);
      } catch (error) {
        this.#broken = reasonOf(error);
      }
      await delay(RECONNECT_MS);
    }
  }

  async #readBlocks(body: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true });
      // A blank line ends an event; a line with a colon first is a comment.
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const data = block
          .split("\n")
          .filter((line) => line.startsWith("data:"))
          .map((line) => line.slice("data:".length).trimStart())
          .join("\n");
        if (data !== "") this.#take(JSON.parse(data) as Event);
      }
    }
  }

  #take(event: Event): void {
    this.#lastId = event.id;
    this.#seen.push({ ...event, seenAtMs: performance.now() });
    this.#wake();
  }
}
