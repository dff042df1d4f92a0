/**
 * The sockets of a group's agents: hibernatable, so that a quiet one costs nothing, and with an automatic answer,
 * so that a `ping` wakes nobody. Each is tagged with the number of its connection, and carries whom it speaks for, and whether something is held back from it.
 */
import type { Connection, Sockets } from "../services/host.ts";

const PING = "ping";
const PONG = "pong";

/** How often, and for how long, a socket that is to be closed is looked at that has said nothing yet. */
const LOOK_MS = 200;
const PATIENCE_MS = 60_000;

export class DurableSockets implements Sockets {
  readonly #ctx: DurableObjectState;
  /** Those that sent a message to this instance. */
  readonly #spoken = new WeakSet<WebSocket>();
  /** What is to be closed as soon as it says something. */
  readonly #closing = new Map<WebSocket, { code: number; reason: string; untilMs: number }>();

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

  /** Whom a socket that says something speaks for; null if it is no agent's. */
  markHeard(socket: WebSocket): Connection | null {
    this.#spoken.add(socket);
    return this.connectionOf(socket);
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

  /**
   * workerd never lets go of a connection on which our close frame came before the first frame of the other end, so
   * one that has said nothing is closed when it does. Agents ping as soon as they are connected.
   */
  close(connection: number, code: number, reason: string): void {
    for (const socket of this.#sockets(connection)) {
      if (this.#hasSpoken(socket)) closeSocket(socket, code, reason);
      else this.#closeWhenItSpeaks(socket, code, reason);
    }
  }

  #hasSpoken(socket: WebSocket): boolean {
    return this.#spoken.has(socket) || this.#ctx.getWebSocketAutoResponseTimestamp(socket) !== null;
  }

  #closeWhenItSpeaks(socket: WebSocket, code: number, reason: string): void {
    if (this.#closing.size === 0) setTimeout(() => this.#closeWhoSpoke(), LOOK_MS);
    this.#closing.set(socket, { code, reason, untilMs: Date.now() + PATIENCE_MS });
  }

  #closeWhoSpoke(): void {
    for (const [socket, { code, reason, untilMs }] of this.#closing) {
      const isOver = socket.readyState !== WebSocket.OPEN || Date.now() > untilMs;
      if (isOver || this.#hasSpoken(socket)) this.#closing.delete(socket);
      if (!isOver && this.#hasSpoken(socket)) closeSocket(socket, code, reason);
    }
    if (this.#closing.size > 0) setTimeout(() => this.#closeWhoSpoke(), LOOK_MS);
  }

  setBackpressured(connection: number, isHeldBack: boolean): void {
    for (const socket of this.#sockets(connection)) {
      socket.serializeAttachment({ ...socket.deserializeAttachment(), isHeldBack });
    }
  }

  isBackpressured(connection: number): boolean {
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
