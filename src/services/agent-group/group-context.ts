/** The state of an agent group, and what its parts share: records mirrored in memory, sockets and the outbox. */
import type { EventDraft } from "../../contract/event.ts";
import { isRestart } from "../../domain/coordinator-outage.ts";
import type { GroupSettings } from "../../protocol/messages.ts";
import { MetaStore } from "../../storage/meta.ts";
import type { Host } from "../host.ts";
import { Outbox } from "../outbox.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { Sessions } from "./liveness/sessions.ts";
import { LockCache } from "./locks/lock-cache.ts";
import { LockQueue } from "./locks/lock-queue.ts";
import { Mailboxes } from "./mailbox/mailboxes.ts";
import { FrameSender } from "./sockets/frame-sender.ts";

/** In force until the coordinator sends the group's settings. */
const INITIAL_SETTINGS: GroupSettings = {
  version: 0,
  failoverEnabled: true,
  reconnectGraceMs: 5000,
  defaultLockTtlMs: 30_000,
  maxLockTtlMs: 3_600_000,
  lockDelayMs: 0,
};

/** Keeps a message well below what a row may hold. */
const EVENTS_PER_MESSAGE = 100;

export type GroupName = { cluster: string; group: string };

export class GroupContext {
  readonly cluster: string;
  readonly group: string;
  readonly host: Host;
  readonly unit: UnitOfWork;
  readonly meta: MetaStore;
  readonly sessions: Sessions;
  readonly locks: LockCache;
  readonly lockQueue: LockQueue;
  readonly mailboxes: Mailboxes;
  readonly frames: FrameSender;
  readonly outbox: Outbox;
  #settings = INITIAL_SETTINGS;

  constructor(host: Host, unit: UnitOfWork, { cluster, group }: GroupName) {
    this.cluster = cluster;
    this.group = group;
    this.host = host;
    this.unit = unit;
    this.meta = new MetaStore(host.sql);
    this.sessions = new Sessions(host.sql, host.sockets);
    this.locks = new LockCache(host.sql);
    this.lockQueue = new LockQueue(host.sql);
    this.mailboxes = new Mailboxes(host.sql);
    this.frames = new FrameSender(host.sockets);
    this.outbox = new Outbox({ host, unit, meta: this.meta }, (deadLetter, nowMs) => {
      const { receiver, messageType, reason } = deadLetter;
      host.log.line("error", "message_dead_lettered", { receiver, message_type: messageType, reason });
      // An event about a refused event could go on for ever.
      if (messageType === "events_recorded") return;
      const data = { message_type: messageType, reason };
      this.recordEvents(nowMs, [{ type: "message.dead_lettered", subject: `group/${group}`, data }]);
    });
  }

  load(nowMs: number): void {
    if (this.meta.read("stream_id") === null) this.meta.write("stream_id", this.host.randomId());
    const settings = this.meta.read("settings");
    this.#settings = settings === null ? INITIAL_SETTINGS : (JSON.parse(settings) as GroupSettings);
    this.sessions.load(this.isRestarted() ? this.reachableSinceMs(nowMs) : nowMs);
    this.locks.load();
    this.lockQueue.load();
    this.mailboxes.load();
    this.outbox.load();
  }

  /** Whether this is the first instance under this boot id, and there was another. */
  isRestarted(): boolean {
    return isRestart(this.meta.read("boot_id"), this.host.bootId);
  }

  /** After a restart: since when agents can reach the group again. */
  reachableSinceMs(nowMs: number): number {
    return this.host.reachableSinceMs() ?? nowMs;
  }

  get settings(): GroupSettings {
    return this.#settings;
  }

  configure(settings: GroupSettings): void {
    this.#settings = settings;
    this.meta.write("settings", JSON.stringify(settings));
  }

  /** Sends events of the group to the cluster's event log, in the present transaction. */
  recordEvents(nowMs: number, events: EventDraft[]): void {
    for (let from = 0; from < events.length; from += EVENTS_PER_MESSAGE) {
      const some = events.slice(from, from + EVENTS_PER_MESSAGE);
      this.outbox.send("coordinator", { type: "events_recorded", atMs: nowMs, events: some });
    }
  }
}
