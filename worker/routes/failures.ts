/** What happened: failures and the event stream. */
import { streamSSE } from "hono/streaming";
import * as z from "zod";
import { PageQuery } from "../../src/contract/common.ts";
import { Event } from "../../src/contract/event.ts";
import { FailureAnswer, FailureFilter, FailurePage } from "../../src/contract/failure.ts";
import { EVENTS_TOPIC } from "../../src/protocol/wake-topics.ts";
import type { App } from "../app-types.ts";
import { unwrap } from "../errors.ts";
import { waiterOn } from "../long-poll.ts";
import { coordinatorOf } from "../object-stubs.ts";
import { answer, CLUSTER, operation, params } from "../route-declaration.ts";

const tags = ["failures"];

/** Events read from the coordinator at a time. */
const EVENT_PAGE = 200;

/** A comment goes out this often on a quiet stream, so that a broken one is noticed. */
const KEEP_ALIVE_MS = 15_000;

const list = operation({
  operationId: "listFailures",
  method: "get",
  path: `${CLUSTER}/failures`,
  summary: "The failures on record, newest first.",
  tags,
  request: { params: params("cluster"), query: PageQuery.extend(FailureFilter.shape) },
  responses: { 200: answer("A page of failures.", FailurePage) },
});

const get = operation({
  operationId: "getFailure",
  method: "get",
  path: `${CLUSTER}/failures/{failure}`,
  summary: "One failure.",
  tags,
  request: { params: params("cluster", "failure") },
  responses: { 200: answer("The failure.", FailureAnswer) },
});

const events = operation({
  operationId: "followEvents",
  method: "get",
  path: `${CLUSTER}/events`,
  summary: "Server-sent events of what changes; resume with Last-Event-ID, 0 for all that are kept.",
  tags,
  request: {
    params: params("cluster"),
    headers: z.object({ "last-event-id": z.coerce.number().int().min(0).optional() }),
  },
  responses: {
    200: { description: "The stream.", content: { "text/event-stream": { schema: Event } } },
  },
});

export function failureRoutes(app: App): void {
  app.openapi(list, async (c) => {
    const { cluster } = c.req.valid("param");
    const { limit, cursor, ...filter } = c.req.valid("query");
    return c.json(await coordinatorOf(c.env, cluster).failures(filter, limit, cursor ?? null), 200);
  });

  app.openapi(get, async (c) => {
    const { cluster, failure } = c.req.valid("param");
    return c.json({ failure: unwrap(await coordinatorOf(c.env, cluster).failure(failure)) }, 200);
  });

  app.openapi(events, async (c) => {
    const { cluster } = c.req.valid("param");
    const { env } = c;
    const newestId = await coordinatorOf(env, cluster).lastEventId();
    // An id that was never given out would wait for events that never come.
    let lastId = Math.min(c.req.valid("header")["last-event-id"] ?? newestId, newestId);
    return streamSSE(c, async (stream) => {
      while (!stream.aborted) {
        // A new line after each break: the coordinator may have been away.
        const waiter = await waiterOn(coordinatorOf(env, cluster), EVENTS_TOPIC, c.req.raw.signal);
        stream.onAbort(() => waiter.close());
        await stream.write(": following\n\n");
        while (!stream.aborted && !waiter.isClosed()) {
          const page = await coordinatorOf(env, cluster).events(lastId, EVENT_PAGE);
          for (const event of page) {
            lastId = event.id;
            await stream.writeSSE({ id: String(event.id), event: event.type, data: JSON.stringify(event) });
          }
          if (page.length === EVENT_PAGE) continue;
          const isRung = await waiter.rung(KEEP_ALIVE_MS);
          if (!isRung) await stream.write(": still here\n\n");
        }
      }
    });
  });
}
