/** The event stream: read as it comes, taken up again where it broke off. */

import { backoffMs, linked, sleep } from "../cancellation.ts";
import { FailoverError } from "../errors.ts";
import { type Http, isWorthRepeating } from "../http.ts";
import type { ClusterEvent } from "../wire.ts";

export type EventOptions = {
  /** The `id` of the last event known; 0 for all that are kept. Default: only what comes from now on. */
  after?: number | undefined;
  /** Ends the loop, without an error. */
  signal?: AbortSignal | undefined;
};

/** The server says something every 15 s; after twice that and some, nobody is there any more. */
const SILENCE_LIMIT_MS = 40_000;

export async function* follow(
  http: Http,
  { after, signal }: EventOptions,
): AsyncGenerator<ClusterEvent, void> {
  let lastId = after;
  for (let tries = 0; !signal?.aborted; ) {
    const abort = linked(signal);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const watch = () => {
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(new Error("the stream fell silent")), SILENCE_LIMIT_MS);
    };
    watch();
    try {
      const headers: Record<string, string> = lastId === undefined ? {} : { "Last-Event-ID": `${lastId}` };
      const response = await http.open("GET", "/events", { headers, signal: abort.signal });
      let unread = "";
      for await (const text of chunks(response)) {
        watch();
        tries = 0;
        const messages = (unread + text).split("\n\n");
        unread = messages.pop() ?? "";
        for (const message of messages) {
          const event = /^data: ?(.*)$/m.exec(message)?.[1];
          if (event === undefined) continue;
          const known = JSON.parse(event) as ClusterEvent;
          lastId = known.id;
          yield known;
        }
      }
    } catch (error) {
      if (error instanceof FailoverError && !isWorthRepeating(error)) throw error;
    } finally {
      clearTimeout(timer);
      abort.abort();
      abort.dispose();
    }
    await sleep(backoffMs(tries++, 200, 10_000), signal);
  }
}

async function* chunks(response: Response): AsyncGenerator<string> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { value, done } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) return;
    yield decoder.decode(value, { stream: true });
  }
}
