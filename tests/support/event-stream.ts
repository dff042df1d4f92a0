/** One connection to an event stream, which is not resumed when it breaks off. */
import { Event } from "../../src/contract/event.ts";
import { Stream } from "./stream.ts";

const LIMIT_MS = 20_000;

export class EventStream implements AsyncDisposable {
  readonly #events = new Stream<Event>();
  readonly #abort: AbortController;
  readonly #ended: Promise<void>;
  #fault: unknown = null;

  /** @param abort ends the request that `response` answers */
  constructor(response: Response, abort: AbortController) {
    this.#abort = abort;
    this.#ended = this.#read(response).catch((fault: unknown) => {
      if (!abort.signal.aborted) this.#fault = fault;
    });
  }

  get heard(): readonly Event[] {
    return this.#events.items;
  }

  /** The first event that matches, of all that have arrived and will arrive. */
  async first(isWanted: (event: Event) => boolean, what: string): Promise<Event> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const types = this.heard.map(({ type }) => type).join(", ");
        reject(new Error(`no event came: ${what}; heard ${types || "nothing"}`));
      }, LIMIT_MS);
    });
    return Promise.race([this.#events.first(isWanted), late]).finally(() => clearTimeout(timer));
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#ended;
    if (this.#fault !== null) throw this.#fault;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #read(response: Response): Promise<void> {
    let unread = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      const messages = (unread + decoder.decode(chunk, { stream: true })).split("\n\n");
      unread = messages.pop() ?? "";
      for (const message of messages) this.#hear(message);
    }
  }

  #hear(message: string): void {
    const fields = new Map(
      message
        .split("\n")
        .filter((line) => !line.startsWith(":"))
        .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
    );
    const data = fields.get("data");
    if (data === undefined) return;
    const event = Event.parse(JSON.parse(data));
    if (fields.get("id") !== String(event.id) || fields.get("event") !== event.type) {
      throw new Error(`an event's fields say otherwise than its data: ${message}`);
    }
    this.#events.add(event);
  }
}
