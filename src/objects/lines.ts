/**
 * The sockets of a group's agents: hibernatable, so that a quiet one costs nothing, and with an automatic answer,
 * so that a `ping` wakes nobody. Each is tagged with the number of its connection, and carries whom it speaks for, and whether something is held back from it.
 */
import type { Connection, Lines } from "../services/host.ts";

const PING = "ping";
const PONG = "pong";

export class DurableLines implements Lines {
  readonly #ctx: DurableObjectState;

  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
  }

  /** Opens the agent's end of a connection. */
  accept(connection: Connection): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    if (this.#ctx.getWebSocketAutoResponse() === null) {
      this.#ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    }
    this.#ctx.acceptWebSocket(server, [tagOf(connection.number)]);
    server.serializeAttachment(connection);
    return new Response(null, { status: 101, webSocket: client });
  }

  /** Whom a socket speaks for; null if it is no agent's. */
  connectionOf(socket: WebSocket): Connection | null {
    return socket.deserializeAttachment() as Connection | null;
  }

  send(connection: number, frame: string): void {
    for (const socket of this.#sockets(connection)) {
      try {
        socket.send(frame);
      } catch {
        // It is closing: its end will be told.
      }
    }
  }

  close(connection: number, code: number, reason: string): void {
    for (const socket of this.#sockets(connection)) closeSocket(socket, code, reason);
  }

  holdBack(connection: number, isHeldBack: boolean): void {
    for (const socket of this.#sockets(connection)) {
      socket.serializeAttachment({ ...socket.deserializeAttachment(), isHeldBack });
    }
  }

  isHeldBack(connection: number): boolean {
    return this.#sockets(connection).some((socket) => socket.deserializeAttachment()?.isHeldBack === true);
  }

  isKnown(connection: number): boolean {
    return this.#sockets(connection).length > 0;
  }

  lastPingMs(connection: number): number | null {
    const [socket] = this.#sockets(connection);
    if (socket === undefined) return null;
    return this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? null;
  }

  #sockets(connection: number): WebSocket[] {
    return this.#ctx.getWebSockets(tagOf(connection));
  }
}

/** Closes our end, whatever state it is in. */
export function closeSocket(socket: WebSocket, code?: number, reason?: string): void {
  try {
    socket.close(code, reason);
  } catch {
    // It is closed already.
  }
}

/** No topic of `acceptWaiter` begins like this. */
function tagOf(connection: number): string {
  return `line/${connection}`;
}
