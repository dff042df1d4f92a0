/** The stream of events; see event-stream.ts for how it is written. */
import * as z from "zod";
import { wholeNumber } from "../../src/contract/common.ts";
import { Event } from "../../src/contract/event.ts";
import { streamEvents } from "../event-stream.ts";
import { coordinatorOf } from "../object-stubs.ts";
import { type Route, route } from "../route.ts";
import { CLUSTER, params } from "../route-schemas.ts";

export const eventRoutes: readonly Route[] = [
  route(
    {
      operationId: "followEvents",
      method: "get",
      path: `${CLUSTER}/events`,
      summary: "Follow the events of a cluster",
      description:
        "Server-sent events. The stream begins with the next event, or with the event after `Last-Event-ID`; 0 sends every event that is kept.",
      tags: ["events"],
      request: {
        params: params("cluster"),
        headers: z.object({ "last-event-id": wholeNumber(z.int().min(0).optional()) }),
      },
      responses: {
        200: { description: "The stream.", content: { "text/event-stream": { schema: Event } } },
      },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      const newestId = await coordinatorOf(c.env, cluster).lastEventId();
      // A larger id was never given out, and the stream would wait for it without end.
      const afterId = Math.min(c.req.valid("header")["last-event-id"] ?? newestId, newestId);
      return streamEvents(c, cluster, afterId);
    },
  ),
];
