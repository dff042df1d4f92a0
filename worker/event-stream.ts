/** Streams the event log of a cluster as server-sent events, and reconnects when the coordinator was away. */
import { streamSSE } from "hono/streaming";
import { EVENTS_TOPIC } from "../src/protocol/wake-topics.ts";
import type { Context } from "./context.ts";
import { waitOn } from "./long-poll/object-waiter.ts";
import { coordinatorOf } from "./object-stubs.ts";

/** Events read from the coordinator at a time. */
const EVENT_PAGE = 200;

/** A comment is sent this often on a quiet stream, so that both ends notice a broken connection. */
const KEEP_ALIVE_MS = 15_000;

/** @param afterId the stream begins with the event that follows this one */
export function streamEvents(c: Context, cluster: string, afterId: number): Response {
  const coordinator = () => coordinatorOf(c.env, cluster);
  let lastId = afterId;
  return streamSSE(c, async (stream) => {
    while (!stream.aborted) {
      // A new socket after each break: the coordinator may have been away.
      const waiter = await waitOn(coordinator(), EVENTS_TOPIC, c.req.raw.signal);
      stream.onAbort(() => waiter.close());
      await stream.write(": following\n\n");
      while (!stream.aborted && !waiter.isClosed()) {
        const page = await coordinator().events(lastId, EVENT_PAGE);
        for (const event of page) {
          lastId = event.id;
          await stream.writeSSE({ id: String(event.id), event: event.type, data: JSON.stringify(event) });
        }
        if (page.length === EVENT_PAGE) continue;
        const isWoken = await waiter.woken(KEEP_ALIVE_MS);
        if (!isWoken) await stream.write(": still here\n\n");
      }
    }
  });
}
