/**
 * What a service asks of whoever hosts it: storage, time, one alarm, chance, a log, its
 * peers. Durable Objects provide it on Cloudflare and under workerd; a simulation
 * provides it in plain Node with its own time, network and crashes.
 */
import type { Page } from "../contract/common.ts";
import type { Outcome } from "../contract/problem.ts";
import type { Task, TaskState } from "../contract/task.ts";
import type { Address, MessageBatch, Receipt } from "../protocol/message-batch.ts";
import type { AgentWakeup, TaskReport, UnstartedRead } from "../protocol/object-calls.ts";
import type { Sql } from "../storage/sql.ts";

export interface Clock {
  /** Milliseconds since the epoch. May jump; services never let it run backwards for themselves. */
  nowMs(): number;
}

/** One alarm an object; setting it replaces the one before and is part of the current transaction. */
export interface Alarm {
  set(atMs: number): void;
  clear(): void;
}

/** Wakes whoever waits for a topic. Lossy by nature: the woken read the authority again. */
export interface TopicWakeups {
  wake(topic: string): void;
}

/** One socket of an agent. Its number is never used again in its group. */
export type Connection = { agentId: string; incarnation: number; number: number };

/** The sockets of agents, by the numbers of their connections. They outlive the instance, not the process. */
export interface Sockets {
  /** Lost if the socket is closing or gone. */
  send(connection: number, frame: string): void;
  /** @param code see CLOSE_CODES */
  close(connection: number, code: number, reason: string): void;
  /** Whether there is such a socket, or its end is still to be told. Not whether anybody is at its other end. */
  isKnown(connection: number): boolean;
  /** Keeps with a socket, for later instances too, that something is held back from its agent. */
  setBackpressured(connection: number, isHeldBack: boolean): void;
  isBackpressured(connection: number): boolean;
  /** When the agent last sent a `ping`, which wakes nobody; null if it has not. */
  lastPingMs(connection: number): number | null;
}

export interface Peers {
  /** Rejects when the receiver could not be reached or failed; then it is tried again later. */
  deliver(receiver: Address, batch: MessageBatch): Promise<Receipt>;
  /** Tells a group that an agent's task list changed. Rejects when it may not have heard. */
  wakeAgent(group: string, wakeup: AgentWakeup): Promise<void>;
  /** Brings holders' reports to the coordinator, as one commit; an answer each, in order. */
  report(reports: readonly TaskReport[]): Promise<Outcome<TaskState>[]>;
  /**
   * The tasks of agents that wait to be started, as the coordinator has them, page by page. A page for each, in
   * order, of as many as one answer has room for, and of one at least; the others are to be asked again.
   */
  unstartedTasks(reads: readonly UnstartedRead[]): Promise<Page<Task>[]>;
}

/** One structured line; `fields` hold no secrets. */
export interface Log {
  line(level: "info" | "warn" | "error", event: string, fields: Record<string, unknown>): void;
}

export interface Host {
  readonly sql: Sql;
  readonly clock: Clock;
  readonly alarm: Alarm;
  readonly wakeups: TopicWakeups;
  readonly sockets: Sockets;
  readonly peers: Peers;
  readonly log: Log;
  /** Changes when the process, or on Cloudflare the deployment, does: then we were away. */
  readonly bootId: string;
  /** Since when this process could be reached, if that is known: what an absence of ours is counted up to. */
  reachableSinceMs(): number | null;
  /** A fresh random id of 32 hexadecimal digits. */
  randomId(): string;
  /** Runs `work` soon, in a later event, so that requests can pass in between. Lost in a crash. */
  defer(work: () => void): void;
  /** Runs `work` after that many milliseconds unless cancelled by the returned function. Lost in a crash. */
  after(delayMs: number, work: () => void): () => void;
}
