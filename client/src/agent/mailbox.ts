/** An agent's messages: each is handled once, in order, and acknowledged after that. */

import { sleep } from "../cancellation.ts";
import type { AgentMessage } from "../wire.ts";
import type { Emitter } from "./agent-events.ts";
import type { Session } from "./session.ts";
import type { Socket } from "./socket.ts";

/** Takes a message. It is gone for good when this resolves; if it throws, it comes again some seconds later. */
export type MessageHandler = (message: AgentMessage) => Promise<unknown> | unknown;

/** A message whose handler threw waits for so long. */
const AGAIN_MS = 5000;
/** Messages handled lately, whose acknowledgement may have been lost. */
const REMEMBERED = 1000;

export class Mailbox {
  handler: MessageHandler | null = null;
  /** Acknowledgements go over it while it is open. */
  socket: Socket | null = null;
  readonly #session: Session;
  readonly #emitter: Emitter;
  readonly #handled = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(session: Session, emitter: Emitter) {
    this.#session = session;
    this.#emitter = emitter;
  }

  /** Takes one that was pushed, after all that came before. */
  async take(message: AgentMessage): Promise<void> {
    if (await this.#inTurn(message)) return;
    const { signal } = this.#session.over;
    await sleep(AGAIN_MS, signal);
    if (!signal.aborted)
      await this.read(0, signal).catch((error: unknown) => this.#emitter.emit("error", { error }));
  }

  /** Handles all that is unread; waits for a message if told to. */
  async read(waitSeconds: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      const { items } = await this.#session.call<{ items: AgentMessage[] }>(
        "GET",
        `${this.#session.path}/messages`,
        {
          query: { wait_seconds: waitSeconds, limit: 100 },
          timeoutSeconds: waitSeconds + 10,
          signal,
        },
      );
      let isDone = true;
      for (const message of items) isDone = (await this.#inTurn(message)) && isDone;
      if (isDone) return;
      await sleep(AGAIN_MS, signal);
    }
  }

  #inTurn(message: AgentMessage): Promise<boolean> {
    const turn = this.#last.then(() => this.#handle(message));
    this.#last = turn;
    return turn;
  }

  /** @returns whether it is done with; one that was handled before is only acknowledged again */
  async #handle(message: AgentMessage): Promise<boolean> {
    const { signal } = this.#session.over;
    if (signal.aborted) return true;
    try {
      if (!this.#handled.has(message.id)) await this.handler?.(message);
    } catch (error) {
      this.#emitter.emit("error", { error });
      return false;
    }
    this.#handled.add(message.id);
    for (const id of this.#handled) if (this.#handled.size > REMEMBERED) this.#handled.delete(id);
    // Unacknowledged, it comes again, and is known.
    await this.#acknowledge(message.id, signal).catch(() => {});
    return true;
  }

  /** May be said more than once, and over both ways. */
  async #acknowledge(message_id: string, signal: AbortSignal): Promise<void> {
    if (await this.socket?.request({ type: "message_ack", message_id }).catch(() => null)) return;
    const path = `${this.#session.path}/messages/${encodeURIComponent(message_id)}/ack`;
    await this.#session.call("POST", path, { signal, isRepeatable: true, retries: 5 });
  }
}
