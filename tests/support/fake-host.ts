/** A host of a single service for unit tests: time stands still, and everything that the service does is recorded. */
import { DatabaseSync } from "node:sqlite";
import type { ServerFrame } from "../../src/contract/socket.ts";
import type { Address, MessageBatch, Receipt } from "../../src/protocol/message-batch.ts";
import type { Host, Peers, Sockets } from "../../src/services/host.ts";
import { NodeSql } from "./simulation/node-sql.ts";

export class FakeHost implements Host {
  readonly sql = new NodeSql(new DatabaseSync(":memory:"));
  nowMs = Date.UTC(2026, 0, 1);
  /** When the alarm is due; null if it is not set. */
  alarmMs: number | null = null;
  alarmsSet = 0;
  readonly woken: string[] = [];
  readonly frames: { connection: number; frame: ServerFrame }[] = [];
  readonly closed: { connection: number; reason: string }[] = [];
  readonly logged: string[] = [];
  readonly batches: { receiver: Address; batch: MessageBatch }[] = [];
  /** What receivers answer; a rejection means that the receiver could not be reached. */
  receive: (batch: MessageBatch) => Promise<Receipt> = async ({ messages }) => ({
    through: messages.at(-1)?.number ?? 0,
    refused: [],
  });
  readonly #timers: { dueMs: number; work: () => void }[] = [];
  #ids = 0;

  readonly clock = { nowMs: () => this.nowMs };
  readonly alarm = {
    set: (atMs: number) => {
      this.alarmMs = atMs;
      this.alarmsSet += 1;
    },
    clear: () => {
      this.alarmMs = null;
    },
  };
  readonly wakeups = { wake: (topic: string) => void this.woken.push(topic) };
  readonly sockets: Sockets = {
    send: (connection, text) => void this.frames.push({ connection, frame: JSON.parse(text) as ServerFrame }),
    close: (connection, _code, reason) => void this.closed.push({ connection, reason }),
    isKnown: () => true,
    setBackpressured: () => {},
    isBackpressured: () => false,
    lastPingMs: () => null,
  };
  readonly peers: Peers = {
    deliver: (receiver, batch) => {
      this.batches.push({ receiver, batch });
      return this.receive(batch);
    },
    wakeAgent: async () => {},
    sessionState: async () => ({ live: null, endedIncarnation: null }),
    report: async () => [],
    unstartedTasks: async () => [],
  };
  readonly log = { line: (_level: string, event: string) => void this.logged.push(event) };
  readonly bootId = "boot-1";

  reachableSinceMs(): number | null {
    return null;
  }

  randomId(): string {
    this.#ids += 1;
    return `id-${this.#ids}`;
  }

  defer(work: () => void): void {
    this.after(0, work);
  }

  after(delayMs: number, work: () => void): () => void {
    const timer = { dueMs: this.nowMs + delayMs, work };
    this.#timers.push(timer);
    return () => {
      timer.work = () => {};
    };
  }

  /** Lets time pass, and runs the timers that are due by then. */
  pass(durationMs: number): void {
    this.nowMs += durationMs;
    const due = this.#timers.filter(({ dueMs }) => dueMs <= this.nowMs);
    for (const timer of due) {
      this.#timers.splice(this.#timers.indexOf(timer), 1);
      timer.work();
    }
  }
}

/** Lets every promise settle that can. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
