/**
 * A Durable Object as the services' host: its storage, its alarm, its sockets, and stubs of the other objects of its
 * cluster as peers.
 */

import type { Address } from "../protocol/message-batch.ts";
import type { CoordinatorCalls, GroupCalls, MessageReceiver } from "../protocol/object-calls.ts";
import type { Alarm, Host, Log, Peers } from "../services/host.ts";
import { DurableSockets } from "./agent-sockets.ts";
import { DurableSql } from "./durable-sql.ts";
import type { Env } from "./env.ts";
import { reachableSinceMs } from "./first-request.ts";
import { groupName } from "./object-names.ts";
import type { Remote } from "./rpc-types.ts";
import { topicWakeups } from "./topic-waiters.ts";

export type DurableHost = Host & {
  readonly sql: DurableSql;
  readonly alarm: CountedAlarm;
  readonly sockets: DurableSockets;
};

/** Counts how often the alarm is set: each time costs a row. */
class CountedAlarm implements Alarm {
  readonly #storage: DurableObjectStorage;
  timesSet = 0;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  // Not awaited on purpose: the storage adds the alarm to the present transaction.
  set(atMs: number): void {
    this.timesSet += 1;
    void this.#storage.setAlarm(atMs);
  }

  clear(): void {
    void this.#storage.deleteAlarm();
  }
}

const consoleLog: Log = {
  line(level, event, fields) {
    console[level](JSON.stringify({ level, event, ...fields }));
  },
};

type Receiver = Remote<MessageReceiver>;

function peersOf(env: Env, cluster: string): Peers {
  // A new stub for each call: a stub that has failed stays broken.
  const group = (name: string) =>
    env.AGENT_GROUP.getByName(groupName(cluster, name)) as unknown as Remote<GroupCalls>;
  const coordinator = () => env.COORDINATOR.getByName(cluster) as unknown as Remote<CoordinatorCalls>;
  const receiverAt = (address: Address): Receiver => {
    if (address === "coordinator") return coordinator();
    if (address === "notifier") return env.NOTIFIER.getByName(cluster) as unknown as Receiver;
    return group(address.slice("group/".length));
  };
  return {
    deliver: (address, batch) => receiverAt(address).receive(batch),
    wakeAgent: (name, wakeup) => group(name).wakeAgent(wakeup),
    sessionState: (name, agentId) => group(name).sessionState(agentId),
    report: (reports) => coordinator().reportAll(reports),
    unstartedTasks: (reads) => coordinator().unstartedTasks(reads),
  };
}

export function durableHost(ctx: DurableObjectState, env: Env, cluster: string): DurableHost {
  return {
    sql: new DurableSql(ctx.storage),
    clock: { nowMs: () => Date.now() },
    alarm: new CountedAlarm(ctx.storage),
    wakeups: topicWakeups(ctx),
    sockets: new DurableSockets(ctx),
    peers: peersOf(env, cluster),
    log: consoleLog,
    bootId: env.BOOT_ID ?? env.CF_VERSION_METADATA?.id ?? "unknown",
    // Only a local server restarts as one process. On Cloudflare an object may start long after this isolate answered
    // its first request.
    reachableSinceMs: env.BOOT_ID === undefined ? () => null : reachableSinceMs,
    randomId: () => crypto.randomUUID().replaceAll("-", ""),
    defer: batchedDefer(),
    after: (delayMs, work) => {
      const timer = setTimeout(() => runSafely(work), delayMs);
      return () => clearTimeout(timer);
    },
  };
}

/**
 * A timer of the platform costs a millisecond or two in which no other timer fires, so all work that is deferred within a
 * short time shares one.
 */
function batchedDefer(): Host["defer"] {
  const waiting: (() => void)[] = [];
  let isSet = false;
  const set = () => {
    if (isSet || waiting.length === 0) return;
    isSet = true;
    setTimeout(run, 0);
  };
  const run = () => {
    isSet = false;
    for (const work of waiting.splice(0, WORKS_PER_EVENT)) runSafely(work);
    set();
  };
  return (work) => {
    waiting.push(work);
    set();
  };
}

/** Some tens of milliseconds of work, so that requests are served in between. */
const WORKS_PER_EVENT = 50;

/** No caller waits for deferred work: a failure is logged and does not end the object. */
function runSafely(work: () => void): void {
  try {
    work();
  } catch (error) {
    consoleLog.line("error", "deferred_work_failed", { error: String(error) });
  }
}

/** Runs an alarm so that it never throws: the platform drops an alarm that keeps throwing, without a trace. */
export function runAlarm(alarm: Alarm, work: () => void): void {
  try {
    work();
  } catch (error) {
    consoleLog.line("error", "alarm_failed", { error: String(error) });
    alarm.set(Date.now() + ALARM_RETRY_MS);
  }
}

const ALARM_RETRY_MS = 1000;

export function nameOf(ctx: DurableObjectState): string {
  if (ctx.id.name === undefined) throw new Error("objects are reached by name alone");
  return ctx.id.name;
}
