/** An agent's messages: each is handled once, in order, and acknowledged after that. */
import { sleep } from "../cancellation.ts";
import type { AgentMessage } from "../wire.ts";
import type { Emitter } from "./agent-events.ts";
import type { Session } from "./session.ts";
import type { Socket } from "./socket.ts";

/** Handles a message. When it resolves, the message is removed; when it throws, the message comes again later. */
export type MessageHandler = (message: AgentMessage) => Promise<unknown> | unknown;

/** Before a message whose handler threw is read again. */
const RETRY_PAUSE_MS = 5000;
/** Ids of handled messages that are remembered, in case an acknowledgement was lost. */
const HANDLED_IDS_LIMIT = 1000;

export class Mailbox {
  handler: MessageHandler | null = null;
  /** Acknowledgements are sent over it while it is open. */
  socket: Socket | null = null;
  readonly #session: Session;
  readonly #emitter: Emitter;
  readonly #handledIds = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(session: Session, emitter: Emitter) {
    this.#session = session;
    this.#emitter = emitter;
  }

  /** Handles a pushed message, after all that came before. */
  async receive(message: AgentMessage): Promise<void> {
    if (await this.#handleInTurn(message)) return;
    const { stopped } = this.#session;
    await sleep(RETRY_PAUSE_MS, stopped);
    if (!stopped.aborted)
      await this.read(0, stopped).catch((error: unknown) => this.#emitter.emit("error", { error }));
  }

  /** Handles all unread messages; waits up to `waitSeconds` for the first. */
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
      for (const message of items) isDone = (await this.#handleInTurn(message)) && isDone;
      if (isDone) return;
      await sleep(RETRY_PAUSE_MS, signal);
    }
  }

  #handleInTurn(message: AgentMessage): Promise<boolean> {
    const turn = this.#last.then(() => this.#handle(message));
    this.#last = turn;
    return turn;
  }

  /** A message that was handled before is only acknowledged again. @returns false if the handler threw */
  async #handle(message: AgentMessage): Promise<boolean> {
    const { stopped } = this.#session;
    if (stopped.aborted) return true;
    try {
      if (!this.#handledIds.has(message.id)) await this.handler?.(message);
    } catch (error) {
      this.#emitter.emit("error", { error });
      return false;
    }
    this.#handledIds.add(message.id);
    for (const id of this.#handledIds)
      if (this.#handledIds.size > HANDLED_IDS_LIMIT) this.#handledIds.delete(id);
    // Without an acknowledgement the message comes again, and its id is known then.
    await this.#acknowledge(message.id, stopped).catch(() => {});
    return true;
  }

  /** Acknowledging a message twice, or over both transports, has no further effect. */
  async #acknowledge(message_id: string, signal: AbortSignal): Promise<void> {
    if (await this.socket?.request({ type: "message_ack", message_id }).catch(() => null)) return;
    const path = `${this.#session.path}/messages/${encodeURIComponent(message_id)}/ack`;
    await this.#session.call("POST", path, { signal, isRepeatable: true, retries: 5 });
  }
}
