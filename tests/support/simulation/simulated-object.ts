/**
 * A simulated Durable Object: a disk that survives crashes, one alarm that is part of its transactions, and instances that
 * come and go. An instance is one of the services that run on Cloudflare.
 */
import { DatabaseSync } from "node:sqlite";
import type { Host, Peers } from "../../../src/services/host.ts";
import { type Fate, NodeSql } from "./node-sql.ts";
import { SimulatedSockets } from "./simulated-sockets.ts";
import type { World } from "./world.ts";

/** The platform retries an alarm that throws after this time. */
const ALARM_RETRY_MS = 2000;

export type ObjectOptions<Service> = {
  create(host: Host): Service;
  peers: Peers;
  bootId(): string;
  reachableSinceMs(): number | null;
  isUp(): boolean;
  /** Asked at each commit. */
  fateOf(): Fate;
  onCommit?(database: DatabaseSync): void;
  onLog?(event: string, fields: Record<string, unknown>): void;
};

export class SimulatedObject<Service extends object> {
  /** What is on disk, for tests to read. */
  readonly database = new DatabaseSync(":memory:");
  /** The sockets that the platform holds for the object. */
  readonly sockets = new SimulatedSockets();
  readonly #world: World;
  readonly #options: ObjectOptions<Service>;
  #live: { service: Service; sql: NodeSql } | null = null;
  #alarmMs: number | null = null;
  /** Set in a transaction that has not committed yet. */
  #stagedAlarmMs: number | null | undefined;
  #cancelAlarm = () => {};

  constructor(world: World, options: ObjectOptions<Service>) {
    this.#world = world;
    this.#options = options;
  }

  /** Runs a call on the instance, starting one if needed. A crash inside ends the instance. */
  serve<Result>(call: (service: Service) => Result): Result {
    if (!this.#options.isUp()) throw new Error("the server is down");
    const live = this.#ensureLive();
    const end = () => {
      if (this.#live === live) this.end();
    };
    try {
      const result = call(live.service);
      if (result instanceof Promise) result.catch(end);
      return result;
    } catch (error) {
      end();
      throw error;
    }
  }

  /** The instance has crashed: its memory and its sockets are gone. */
  end(): void {
    this.sockets.cut();
    this.evict();
  }

  /** The instance leaves memory; its sockets stay. */
  evict(): void {
    this.#live?.sql.die();
    this.#live = null;
    this.#stagedAlarmMs = undefined;
  }

  /** After the server was down: an alarm that was due meanwhile fires now. */
  wake(): void {
    if (this.#alarmMs !== null) this.#schedule(this.#alarmMs);
  }

  #ensureLive(): { service: Service; sql: NodeSql } {
    if (this.#live === null) {
      const sql = new NodeSql(this.database, this.#options.fateOf, () => {
        if (this.#stagedAlarmMs !== undefined) this.#store(this.#stagedAlarmMs);
        this.#stagedAlarmMs = undefined;
        this.#options.onCommit?.(this.database);
      });
      this.#live = { sql, service: this.#options.create(this.#host(sql)) };
    }
    return this.#live;
  }

  #host(sql: NodeSql): Host {
    const isMine = () => this.#live?.sql === sql;
    const ifMine = (work: () => void) => () => {
      if (!isMine() || !this.#options.isUp()) return;
      try {
        work();
      } catch {
        this.end();
      }
    };
    return {
      sql,
      clock: { nowMs: () => Math.floor(this.#world.nowMs) },
      alarm: {
        set: (atMs) => {
          this.#stagedAlarmMs = atMs;
        },
        clear: () => {
          this.#stagedAlarmMs = null;
        },
      },
      wakeups: { wake() {} },
      // An instance that is gone reaches no socket any more.
      sockets: {
        send: (connection, frame) => {
          if (isMine()) this.sockets.send(connection, frame);
        },
        close: (connection, code, reason) => {
          if (isMine()) this.sockets.close(connection, code, reason);
        },
        setBackpressured: (connection, isBackpressured) => {
          if (isMine()) this.sockets.setBackpressured(connection, isBackpressured);
        },
        isBackpressured: (connection) => this.sockets.isBackpressured(connection),
        isKnown: (connection) => this.sockets.isKnown(connection),
        lastPingMs: (connection) => this.sockets.lastPingMs(connection),
      },
      peers: this.#options.peers,
      log: { line: (_, event, fields) => this.#options.onLog?.(event, fields) },
      bootId: this.#options.bootId(),
      reachableSinceMs: () => this.#options.reachableSinceMs(),
      randomId: () => this.#world.random.id(),
      defer: (work) => void this.#world.after(0, ifMine(work)),
      after: (delayMs, work) => this.#world.after(delayMs, ifMine(work)),
    };
  }

  #store(atMs: number | null): void {
    this.#alarmMs = atMs;
    this.#cancelAlarm();
    if (atMs !== null) this.#schedule(atMs);
  }

  #schedule(atMs: number): void {
    this.#cancelAlarm();
    this.#cancelAlarm = this.#world.at(atMs, () => this.#fireAlarm(atMs));
  }

  #fireAlarm(dueMs: number): void {
    if (!this.#options.isUp()) return;
    this.#alarmMs = null;
    try {
      this.serve((service) => {
        if (hasAlarm(service)) service.onAlarm(dueMs);
      });
    } catch {
      // At least once: a failed alarm runs again, unless a new one was set before the crash.
      if (this.#alarmMs === null) this.#store(this.#world.nowMs + ALARM_RETRY_MS);
    }
  }
}

function hasAlarm(service: object): service is { onAlarm(scheduledMs: number | null): void } {
  return "onAlarm" in service;
}
