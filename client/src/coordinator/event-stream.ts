/** The event stream of a cluster. A broken stream is opened again after the last event received. */
import { linkedAbort, sleep } from "../cancellation.ts";
import { FailoverError } from "../errors.ts";
import type { Http } from "../http.ts";
import { backoffMs, isTransient } from "../retry.ts";
import type { ClusterEvent } from "../wire.ts";

export type EventOptions = {
  /** The `id` of the last event already known; 0 for all that are kept. Default: only new events. */
  after?: number | undefined;
  /** Ends the loop, without an error. */
  signal?: AbortSignal | undefined;
};

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;
/** The server sends at least a comment every 15 s. After two missing comments, the connection is taken for dead. */
const SILENCE_LIMIT_MS = 40_000;

export async function* followEvents(
  http: Http,
  { after, signal }: EventOptions,
): AsyncGenerator<ClusterEvent, void> {
  let lastId = after;
  for (let tries = 0; !signal?.aborted; ) {
    const abort = linkedAbort(signal);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const restartTimer = () => {
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(new Error("the event stream is silent")), SILENCE_LIMIT_MS);
    };
    restartTimer();
    try {
      const headers: Record<string, string> = lastId === undefined ? {} : { "Last-Event-ID": `${lastId}` };
      const response = await http.open("GET", "/events", { headers, signal: abort.signal });
      let unread = "";
      for await (const text of chunksOf(response)) {
        restartTimer();
        tries = 0;
        const messages = (unread + text).split("\n\n");
        unread = messages.pop() ?? "";
        for (const message of messages) {
          const data = /^data: ?(.*)$/m.exec(message)?.[1];
          if (data === undefined) continue;
          const event = JSON.parse(data) as ClusterEvent;
          lastId = event.id;
          yield event;
        }
      }
    } catch (error) {
      if (error instanceof FailoverError && !isTransient(error)) throw error;
    } finally {
      clearTimeout(timer);
      abort.abort();
      abort.dispose();
    }
    await sleep(backoffMs(tries++, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), signal);
  }
}

async function* chunksOf(response: Response): AsyncGenerator<string> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { value, done } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) return;
    yield decoder.decode(value, { stream: true });
  }
}
