/**
 * Long polls of the Worker: each holds a hibernatable socket to the object, tagged with a topic, so that a waiting caller
 * does not keep the object awake. Any text on the socket wakes the caller, which then reads the state again.
 */
import type { TopicWakeups } from "../services/host.ts";

/** Accepts the socket of a caller that waits for a topic. */
export function acceptTopicWaiter(ctx: DurableObjectState, request: Request): Response {
  const topic = new URL(request.url).searchParams.get("topic");
  if (topic === null || request.headers.get("Upgrade") !== "websocket") {
    return new Response(null, { status: 404 });
  }
  const { 0: client, 1: server } = new WebSocketPair();
  ctx.acceptWebSocket(server, [topic]);
  return new Response(null, { status: 101, webSocket: client });
}

export function topicWakeups(ctx: DurableObjectState): TopicWakeups {
  return {
    wake(topic) {
      for (const socket of ctx.getWebSockets(topic)) {
        try {
          socket.send("wake");
        } catch {
          // The socket is closing: its caller has gone, or reads again at the end of its wait.
        }
      }
    },
  };
}
