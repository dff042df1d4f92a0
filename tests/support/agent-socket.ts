/** An agent's end of its socket, for black-box tests: received frames, checked against the contract, and requests. */
import { BEARER_SUBPROTOCOL, ServerFrame, SUBPROTOCOL } from "../../src/contract/socket.ts";
import { Stream } from "./stream.ts";

export type FrameOf<Type extends ServerFrame["type"]> = Extract<ServerFrame, { type: Type }>;
export type AnswerFrame = FrameOf<"ack"> | FrameOf<"error">;

export class AgentSocket implements Disposable {
  readonly #socket: WebSocket;
  readonly #frames = new Stream<ServerFrame>();
  readonly #pongs = new Stream<number>();
  readonly closed: Promise<{ code: number; reason: string; wasClean: boolean }>;
  #requests = 0;

  /**
   * Pings at once, as every agent should: workerd does not end a TCP connection of which the client's first frame
   * is the one that closes it.
   * @param url the socket URL in the answer to the registration
   */
  static async open(url: string, token: string): Promise<AgentSocket> {
    const socket = new WebSocket(url, [SUBPROTOCOL, `${BEARER_SUBPROTOCOL}${token}`]);
    const agent = new AgentSocket(socket);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error("the socket could not be opened")));
    });
    await agent.ping();
    return agent;
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      socket.addEventListener("close", ({ code, reason, wasClean }) => resolve({ code, reason, wasClean }));
    });
    socket.addEventListener("message", ({ data }) => {
      if (data === "pong") this.#pongs.add(this.#pongs.items.length + 1);
      else this.#frames.add(ServerFrame.parse(JSON.parse(String(data))));
    });
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  get heard(): readonly ServerFrame[] {
    return this.#frames.items;
  }

  /** All frames of a type so far. */
  all<Type extends ServerFrame["type"]>(type: Type): FrameOf<Type>[] {
    return this.heard.filter((frame): frame is FrameOf<Type> => frame.type === type);
  }

  /** The first frame of a type that matches, now or later. */
  first<Type extends ServerFrame["type"]>(
    type: Type,
    fits: (frame: FrameOf<Type>) => boolean = () => true,
  ): Promise<FrameOf<Type>> {
    const isIt = (frame: ServerFrame): frame is FrameOf<Type> =>
      frame.type === type && fits(frame as FrameOf<Type>);
    return this.#frames.first(isIt) as Promise<FrameOf<Type>>;
  }

  /** Sends a heartbeat that causes no wake-up; resolves when it is answered. */
  async ping(): Promise<void> {
    const count = this.#pongs.items.length + 1;
    this.#socket.send("ping");
    await this.#pongs.first((number) => number >= count);
  }

  send(data: string | ArrayBuffer | object): void {
    this.#socket.send(typeof data === "string" || data instanceof ArrayBuffer ? data : JSON.stringify(data));
  }

  /** Sends a request; resolves with its answer. */
  ask(frame: { type: string } & Record<string, unknown>): Promise<AnswerFrame> {
    this.#requests += 1;
    const request_id = `request-${this.#requests}`;
    this.send({ request_id, ...frame });
    return this.answer(String(frame.request_id ?? request_id));
  }

  /** The answer to a request, now or later. */
  answer(requestId: string): Promise<AnswerFrame> {
    const isIt = (frame: ServerFrame) =>
      (frame.type === "ack" || frame.type === "error") && frame.request_id === requestId;
    return this.#frames.first(isIt) as Promise<AnswerFrame>;
  }

  close(): void {
    this.#socket.close(1000, "done");
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
