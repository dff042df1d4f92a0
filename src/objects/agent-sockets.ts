/**
 * The sockets of a group's agents. They hibernate, so that a quiet one costs nothing, and the platform answers `ping`
 * without waking the object. Each is tagged with the number of its connection; its attachment names the agent and its
 * incarnation, and says whether the connection is backpressured.
 */
import type { Connection, Sockets } from "../services/host.ts";

const PING = "ping";
const PONG = "pong";

/** How often, and for how long, a socket that waits to be closed is checked for its first frame. */
const CHECK_PERIOD_MS = 200;
const CLOSE_LIMIT_MS = 60_000;

/** What is stored with a socket. */
type Attachment = Connection & { isBackpressured?: boolean };

export class DurableSockets implements Sockets {
  readonly #ctx: DurableObjectState;
  /** Sockets that sent a frame to this instance. */
  readonly #withFrames = new WeakSet<WebSocket>();
  /** Sockets to be closed as soon as their first frame has come. */
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

  /** Records that a frame came. @returns the agent's connection; null if it is no agent's socket */
  recordFrame(socket: WebSocket): Connection | null {
    this.#withFrames.add(socket);
    return this.connectionOf(socket);
  }

  /** The agent's connection; null if it is no agent's socket. */
  connectionOf(socket: WebSocket): Connection | null {
    return socket.deserializeAttachment() as Attachment | null;
  }

  send(connection: number, frame: string): void {
    for (const socket of this.#sockets(connection)) {
      try {
        socket.send(frame);
      } catch {
        // The socket is closing: the platform will report its end.
      }
    }
  }

  /**
   * workerd never frees a connection on which our close frame came before the first frame of the other end. So a socket
   * without a frame is closed once its first frame has come. Agents ping as soon as they are connected.
   */
  close(connection: number, code: number, reason: string): void {
    for (const socket of this.#sockets(connection)) {
      if (this.#hasSentFrame(socket)) closeSocket(socket, code, reason);
      else this.#closeAfterFirstFrame(socket, code, reason);
    }
  }

  #hasSentFrame(socket: WebSocket): boolean {
    return this.#withFrames.has(socket) || this.#ctx.getWebSocketAutoResponseTimestamp(socket) !== null;
  }

  #closeAfterFirstFrame(socket: WebSocket, code: number, reason: string): void {
    if (this.#closing.size === 0) setTimeout(() => this.#closeReady(), CHECK_PERIOD_MS);
    this.#closing.set(socket, { code, reason, untilMs: Date.now() + CLOSE_LIMIT_MS });
  }

  #closeReady(): void {
    for (const [socket, { code, reason, untilMs }] of this.#closing) {
      const isOver = socket.readyState !== WebSocket.OPEN || Date.now() > untilMs;
      if (isOver || this.#hasSentFrame(socket)) this.#closing.delete(socket);
      if (!isOver && this.#hasSentFrame(socket)) closeSocket(socket, code, reason);
    }
    if (this.#closing.size > 0) setTimeout(() => this.#closeReady(), CHECK_PERIOD_MS);
  }

  setBackpressured(connection: number, isBackpressured: boolean): void {
    for (const socket of this.#sockets(connection)) {
      socket.serializeAttachment({ ...(socket.deserializeAttachment() as Attachment), isBackpressured });
    }
  }

  isBackpressured(connection: number): boolean {
    return this.#sockets(connection).some(
      (socket) => (socket.deserializeAttachment() as Attachment | null)?.isBackpressured === true,
    );
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

/** Closes our end, in any state of the socket. */
export function closeSocket(socket: WebSocket, code?: number, reason?: string): void {
  try {
    socket.close(code, reason);
  } catch {
    // The socket is closed already.
  }
}

/** No topic of `acceptTopicWaiter` begins like this. */
function tagOf(connection: number): string {
  return `connection/${connection}`;
}
