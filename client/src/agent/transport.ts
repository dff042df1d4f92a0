/**
 * The transports between an agent and the coordinator: a socket while one is open, HTTP otherwise. Pushed frames go to
 * the task runner and the mailbox.
 *
 *   opening a socket --open--> socket --broken--> HTTP, and opening a socket again
 *          '--- not open after a short time: HTTP meanwhile
 */
import { orAborted, sleep } from "../cancellation.ts";
import type { Registered } from "../coordinator/coordinator.ts";
import { backoffMs, retryUntilDone } from "../retry.ts";
import type { Emitter } from "./agent-events.ts";
import { AssignedTasks } from "./assigned-tasks.ts";
import { ContactMonitor, type TransportKind } from "./contact-monitor.ts";
import { HttpPolling } from "./http-polling.ts";
import type { ReadLoad } from "./load-reader.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Session, SessionEnd } from "./session.ts";
import { type Push, Socket } from "./socket.ts";
import type { TaskRunner } from "./task-runner.ts";

export type TransportParts = {
  session: Session;
  taskRunner: TaskRunner;
  mailbox: Mailbox;
  emitter: Emitter;
  readLoad: ReadLoad;
  abortWhenOutOfTouch: boolean | undefined;
  /** `http` never opens a socket. */
  transport: TransportKind | undefined;
  /** Aborted when the agent has stopped. */
  stopped: AbortSignal;
};

const FIRST_PAUSE_MS = 200;
/** A socket that cannot be opened is tried again after a minute at the latest. */
const LONGEST_PAUSE_MS = 60_000;
/** HTTP starts after this time unless the socket is open, or earlier if the heartbeat interval is short. */
const SOCKET_HEAD_START_MS = 1000;

export class Transport {
  readonly #parts: TransportParts;
  readonly #assignedTasks: AssignedTasks;
  readonly #contact: ContactMonitor;
  readonly #polling: HttpPolling;

  constructor(parts: TransportParts) {
    this.#parts = parts;
    this.#assignedTasks = new AssignedTasks(parts.session, parts.taskRunner);
    this.#contact = new ContactMonitor(parts);
    this.#polling = new HttpPolling({ ...parts, assignedTasks: this.#assignedTasks, contact: this.#contact });
  }

  /** Call it once the agent is registered. Runs until the agent has stopped. */
  start(): void {
    const wantsSocket = this.#parts.transport !== "http";
    const hasSocket = typeof WebSocket !== "undefined";
    if (wantsSocket && hasSocket) void this.#keepSocketOpen();
    else this.#polling.start();
    if (wantsSocket && !hasSocket) this.#warnOfSlowDetection();
    void this.#contact.watch(() => void this.#renew(this.#parts.session.current));
  }

  #warnOfSlowDetection(): void {
    const { timeoutMs, intervalMs } = this.#parts.session;
    const seconds = (timeoutMs + intervalMs) / 1000;
    console.warn(
      `no WebSocket on this platform: a crash is noticed within ${seconds} s, not within about 5 s`,
    );
  }

  async #keepSocketOpen(): Promise<void> {
    const { session, readLoad, stopped } = this.#parts;
    for (let tries = 0; !stopped.aborted; tries++) {
      // The coordinator would close a socket with the token of an ended incarnation.
      await orAborted(session.renewal, stopped).catch(() => {});
      if (stopped.aborted) return;
      const isFirst = tries === 0 && !this.#polling.isOn;
      const headStartMs = isFirst ? Math.min(SOCKET_HEAD_START_MS, session.intervalMs / 2) : 0;
      const opening = Socket.open(session, (push, registered) => this.#receive(push, registered), readLoad);
      const early = await Promise.race([opening, sleep(headStartMs, stopped)]);
      if (!early) this.#polling.start();
      const socket = await opening;
      if (socket !== null) {
        if (stopped.aborted) return socket.close("stopping");
        const openedAtMs = performance.now();
        await this.#useSocket(socket);
        // The back-off continues if the socket broke at once, so that the agent does not open one after the other.
        if (performance.now() - openedAtMs >= session.intervalMs) tries = 0;
      }
      if (stopped.aborted) return;
      this.#polling.start();
      await sleep(backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), stopped);
    }
  }

  async #useSocket(socket: Socket): Promise<void> {
    const { taskRunner, mailbox, stopped } = this.#parts;
    const close = () => socket.close("stopping");
    stopped.addEventListener("abort", close);
    taskRunner.socket = mailbox.socket = socket;
    this.#polling.stop();
    this.#contact.connected("socket");
    // Frames may have been pushed while there was no socket.
    const catchUp = async () => {
      await this.#assignedTasks.reconcile(stopped);
      if (mailbox.handler !== null) await mailbox.read(0, stopped);
    };
    void this.#retryUntilDone(catchUp);
    const reason = await socket.closed;
    taskRunner.socket = mailbox.socket = null;
    stopped.removeEventListener("abort", close);
    this.#contact.disconnected(reason);
  }

  /** @param registered the incarnation that opened the socket */
  #receive(push: Push, registered: Registered): void {
    const { taskRunner, mailbox, emitter } = this.#parts;
    switch (push.type) {
      case "task_assigned":
        taskRunner.offer(push.task);
        break;
      case "task_revoked":
        taskRunner.revoke(push.task_id, push.attempt, push.reason);
        break;
      case "message":
        if (mailbox.handler !== null) void mailbox.receive(push.message);
        break;
      case "drain":
        emitter.emit("drain", { mode: push.mode, deadline_at: push.deadline_at });
        break;
      case "session_expired":
        void this.#renew(registered, push);
        break;
      default:
      // A newer coordinator may push frames that this client does not know.
    }
  }

  /** Registers the incarnation after an ended one, and aligns the task runner with what the coordinator kept of it. */
  async #renew(expired: Registered, end?: SessionEnd): Promise<void> {
    const { session, stopped } = this.#parts;
    await orAborted(session.renew(expired, end), stopped).catch(() => {});
    if (!stopped.aborted) await this.#retryUntilDone(() => this.#assignedTasks.reconcile(stopped));
  }

  #retryUntilDone(step: () => Promise<void>): Promise<void> {
    const { session, stopped, emitter } = this.#parts;
    return retryUntilDone(step, {
      signal: stopped,
      onError: (error) => emitter.emit("error", { error }),
      pause: session.reach.pause,
    });
  }
}
