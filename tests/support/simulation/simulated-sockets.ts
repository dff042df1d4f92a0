/**
 * The sockets of a simulated group's agents. They outlive an eviction of the instance. After a crash each end learns that the
 * other is gone.
 */
import type { ServerFrame } from "../../../src/contract/socket.ts";
import type { Connection, Sockets } from "../../../src/services/host.ts";

/** The agent's end of a socket. */
export class SimulatedSocket {
  readonly connection: Connection;
  /** The frames from the server, in order. */
  readonly received: ServerFrame[] = [];
  closed: { code: number; reason: string } | null = null;
  /** As the group has stored with its end. */
  isBackpressured = false;
  /** When the last `ping` was sent. */
  pingedAtMs: number | null = null;
  readonly #events: SocketEvents;

  constructor(connection: Connection, events: SocketEvents) {
    this.connection = connection;
    this.#events = events;
  }

  /** The platform answers a `ping`, and does not wake the object. */
  ping(): void {
    if (this.closed === null) this.pingedAtMs = this.#events.nowMs();
  }

  /** Sends a frame, or any text. */
  send(frame: object | string): void {
    if (this.closed === null)
      this.#events.received(this, typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  /** Closes the socket with a close frame. */
  close(): void {
    this.#end(true, { code: 1000, reason: "" });
  }

  /** The agent's process dies. */
  break(): void {
    this.#end(false, { code: 1006, reason: "" });
  }

  /** The frames of a type, in order. */
  frames<Type extends ServerFrame["type"]>(type: Type): Extract<ServerFrame, { type: Type }>[] {
    return this.received.filter((frame) => frame.type === type) as Extract<ServerFrame, { type: Type }>[];
  }

  #end(isClean: boolean, closed: { code: number; reason: string }): void {
    if (this.closed !== null) return;
    this.closed = closed;
    this.#events.ended(this, isClean);
  }
}

export type SocketEvents = {
  nowMs(): number;
  received(socket: SimulatedSocket, text: string): void;
  ended(socket: SimulatedSocket, isClean: boolean): void;
};

export class SimulatedSockets implements Sockets {
  readonly #sockets = new Map<number, SimulatedSocket>();

  accept(socket: SimulatedSocket): void {
    this.#sockets.set(socket.connection.number, socket);
  }

  /** The end of the socket has been reported to the object. */
  drop(socket: SimulatedSocket): void {
    this.#sockets.delete(socket.connection.number);
  }

  /** The process has crashed, and all its sockets are closed. */
  cut(): void {
    for (const socket of this.#sockets.values()) socket.closed ??= { code: 1006, reason: "" };
    this.#sockets.clear();
  }

  send(connection: number, frame: string): void {
    const socket = this.#sockets.get(connection);
    if (socket?.closed === null) socket.received.push(JSON.parse(frame) as ServerFrame);
  }

  close(connection: number, code: number, reason: string): void {
    const socket = this.#sockets.get(connection);
    if (socket === undefined) return;
    socket.closed ??= { code, reason };
    this.#sockets.delete(connection);
  }

  setBackpressured(connection: number, isBackpressured: boolean): void {
    const socket = this.#sockets.get(connection);
    if (socket !== undefined) socket.isBackpressured = isBackpressured;
  }

  isBackpressured(connection: number): boolean {
    return this.#sockets.get(connection)?.isBackpressured ?? false;
  }

  isKnown(connection: number): boolean {
    return this.#sockets.has(connection);
  }

  lastPingMs(connection: number): number | null {
    return this.#sockets.get(connection)?.pingedAtMs ?? null;
  }
}
