/**
 * The sockets of a simulated group's agents. They outlive an eviction of the instance, not a crash: then each end
 * learns that the other is gone.
 */
import type { ServerFrame } from "../../../src/contract/socket.ts";
import type { Connection, Sockets } from "../../../src/services/host.ts";

/** What the agent's end sees and does. */
export class SimulatedSocket {
  readonly connection: Connection;
  /** What the server said, in order. */
  readonly received: ServerFrame[] = [];
  closed: { code: number; reason: string } | null = null;
  /** As the server has noted with its end. */
  isBackpressured = false;
  /** Of the last `ping`. */
  pingedAtMs: number | null = null;
  readonly #ends: SocketEnds;

  constructor(connection: Connection, ends: SocketEnds) {
    this.connection = connection;
    this.#ends = ends;
  }

  /** Answered by the platform: nobody is woken. */
  ping(): void {
    if (this.closed === null) this.pingedAtMs = this.#ends.nowMs();
  }

  /** Sends a frame, or anything else. */
  send(frame: object | string): void {
    if (this.closed === null)
      this.#ends.said(this, typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  /** Ends in good order. */
  close(): void {
    this.#end(true, { code: 1000, reason: "" });
  }

  /** Its process dies. */
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
    this.#ends.ended(this, isClean);
  }
}

export type SocketEnds = {
  nowMs(): number;
  said(socket: SimulatedSocket, text: string): void;
  ended(socket: SimulatedSocket, isClean: boolean): void;
};

export class SimulatedSockets implements Sockets {
  readonly #sockets = new Map<number, SimulatedSocket>();

  accept(socket: SimulatedSocket): void {
    this.#sockets.set(socket.connection.number, socket);
  }

  /** The other end has heard of its end. */
  drop(socket: SimulatedSocket): void {
    this.#sockets.delete(socket.connection.number);
  }

  /** The process is gone, and all its sockets with it. */
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

  setBackpressured(connection: number, isHeldBack: boolean): void {
    const socket = this.#sockets.get(connection);
    if (socket !== undefined) socket.isBackpressured = isHeldBack;
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
