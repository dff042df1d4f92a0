/**
 * How an agent and the coordinator reach each other: over a socket for as long as there is one, and over HTTP where
 * there is none or while it is broken. What comes goes to the agent's work and its mailbox.
 *
 *   opening a socket --open--> socket --broken--> HTTP, and opening a socket anew
 *          '--- not soon: HTTP meanwhile
 */

import { backoffMs, orAborted, sleep } from "../cancellation.ts";
import type { Registered } from "../coordinator/coordinator.ts";
import { repeatUntilDone } from "../retry.ts";
import type { Emitter } from "./agent-events.ts";
import { Holdings } from "./assigned-tasks.ts";
import { ContactMonitor, type TransportKind } from "./contact-monitor.ts";
import { Polling } from "./http-polling.ts";
import type { AskLoad } from "./load-reader.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Session } from "./session.ts";
import { type Push, Socket } from "./socket.ts";
import type { TaskRunner } from "./task-runner.ts";

export type TransportParts = {
  session: Session;
  work: TaskRunner;
  mailbox: Mailbox;
  emitter: Emitter;
  load: AskLoad;
  abortWhenOutOfTouch: boolean | undefined;
  /** `http` never opens a socket. */
  transport: TransportKind | undefined;
  /** Aborted when the agent has left. */
  ending: AbortSignal;
};

const FIRST_PAUSE_MS = 200;
/** A socket that cannot be opened is tried again after a minute at the latest. */
const LONGEST_PAUSE_MS = 60_000;
/** Before it asks over HTTP it gives the socket so much time, and less if its heartbeats are quick. */
const SOCKET_HEAD_START_MS = 1000;

export class Transport {
  readonly #parts: TransportParts;
  readonly #holdings: Holdings;
  readonly #touch: ContactMonitor;
  readonly #polling: Polling;

  constructor(parts: TransportParts) {
    this.#parts = parts;
    this.#holdings = new Holdings(parts.session, parts.work);
    this.#touch = new ContactMonitor(parts);
    this.#polling = new Polling({ ...parts, holdings: this.#holdings, touch: this.#touch });
  }

  /** Once the agent is registered. Goes on until it has left. */
  start(): void {
    const wantsSocket = this.#parts.transport !== "http" && typeof WebSocket !== "undefined";
    if (wantsSocket) void this.#keepSocket();
    else this.#polling.start();
    void this.#touch.watch(() => void this.#renew(this.#parts.session.current));
  }

  async #keepSocket(): Promise<void> {
    const { session, load, ending } = this.#parts;
    for (let tries = 0; !ending.aborted; tries++) {
      // With the token of an incarnation that is over it would be closed again.
      await orAborted(session.renewal, ending).catch(() => {});
      const isFirst = tries === 0 && !this.#polling.isOn;
      const headStartMs = isFirst ? Math.min(SOCKET_HEAD_START_MS, session.intervalMs / 2) : 0;
      const opening = Socket.open(session, (push, registered) => this.#hear(push, registered), load);
      const early = await Promise.race([opening, sleep(headStartMs, ending)]);
      if (!early) this.#polling.start();
      const socket = await opening;
      if (socket !== null) {
        if (ending.aborted) return socket.close("stopping");
        const openedAtMs = performance.now();
        await this.#useSocket(socket);
        // One that is cut as soon as it is open must not be opened again and again.
        if (performance.now() - openedAtMs >= session.intervalMs) tries = 0;
      }
      if (ending.aborted) return;
      this.#polling.start();
      await sleep(backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), ending);
    }
  }

  async #useSocket(socket: Socket): Promise<void> {
    const { work, mailbox, emitter, ending } = this.#parts;
    const end = () => socket.close("stopping");
    ending.addEventListener("abort", end);
    work.socket = mailbox.socket = socket;
    this.#polling.stop();
    this.#touch.found("socket");
    // What was pushed while there was no socket.
    const catchUp = async () => {
      await this.#holdings.reconcile(ending);
      if (mailbox.handler !== null) await mailbox.read(0, ending);
    };
    void repeatUntilDone(catchUp, ending, emitter);
    const reason = await socket.closed;
    work.socket = mailbox.socket = null;
    ending.removeEventListener("abort", end);
    this.#touch.lost(reason);
  }

  /** @param registered the incarnation that opened the socket */
  #hear(push: Push, registered: Registered): void {
    const { work, mailbox, emitter } = this.#parts;
    switch (push.type) {
      case "task_assigned":
        work.offer(push.task);
        break;
      case "task_revoked":
        work.revoke(push.task_id, push.attempt, push.reason);
        break;
      case "message":
        if (mailbox.handler !== null) void mailbox.take(push.message);
        break;
      case "drain":
        emitter.emit("drain", { mode: push.mode, deadline_at: push.deadline_at });
        break;
      case "session_expired":
        void this.#renew(registered);
        break;
      default:
      // Of something that this client does not know yet, or did not ask for.
    }
  }

  /** The next incarnation after one that is over, and what became of its tasks. */
  async #renew(ended: Registered): Promise<void> {
    const { session, emitter, ending } = this.#parts;
    await orAborted(session.renew(ended), ending).catch(() => {});
    if (!ending.aborted) await repeatUntilDone(() => this.#holdings.reconcile(ending), ending, emitter);
  }
}
