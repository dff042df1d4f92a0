/**
 * What a service needs from its host: storage, time, one alarm, randomness, a log, sockets, and the other objects. Durable
 * Objects provide it on Cloudflare and under workerd; a simulation provides it in plain Node, with its own time, network
 * and crashes.
 */

import type { Page } from "../contract/common.ts";
import type { Outcome } from "../contract/problem.ts";
import type { Task, TaskState } from "../contract/task.ts";
import type { SessionState } from "../domain/replacement.ts";
import type { Address, MessageBatch, Receipt } from "../protocol/message-batch.ts";
import type { AgentWakeup, TaskReport, UnstartedRead } from "../protocol/object-calls.ts";
import type { Sql } from "../storage/sql.ts";

export interface Clock {
  /** Milliseconds since the epoch. May jump; services never let it run backwards for themselves. */
  nowMs(): number;
}

/** One alarm per object. Setting it replaces the previous one, as a part of the present transaction. */
export interface Alarm {
  set(atMs: number): void;
  clear(): void;
}

/** Wakes the calls that wait for a topic. A wake-up may be lost; a call that is woken reads the state again. */
export interface TopicWakeups {
  wake(topic: string): void;
}

/** One socket of an agent. Its number is unique in its group, for ever. */
export type Connection = { agentId: string; incarnation: number; number: number };

/** The sockets of agents, by the numbers of their connections. They outlive an instance of the object, not the process. */
export interface Sockets {
  /** The frame is lost if the socket is closing or gone. */
  send(connection: number, frame: string): void;
  /** @param code see CLOSE_CODES */
  close(connection: number, code: number, reason: string): void;
  /** Whether there is such a socket, or its end is still to be reported. Says nothing about the other end. */
  isKnown(connection: number): boolean;
  /** Stores with a socket, for later instances too, that frames wait until its agent has acted upon earlier ones. */
  setBackpressured(connection: number, isBackpressured: boolean): void;
  isBackpressured(connection: number): boolean;
  /** When the agent last sent a `ping`, which does not wake the object; null if the agent has not sent any. */
  lastPingMs(connection: number): number | null;
}

export interface Peers {
  /** Rejects when the receiver could not be reached or failed; the caller tries again later. */
  deliver(receiver: Address, batch: MessageBatch): Promise<Receipt>;
  /** Tells a group that an agent's task list changed. Rejects when the group may not have received it. */
  wakeAgent(group: string, wakeup: AgentWakeup): Promise<void>;
  /** Asks a group what it knows of an agent. */
  sessionState(group: string, agentId: string): Promise<SessionState>;
  /** Passes reports of holders to the coordinator, as one commit. @returns an answer for each, in order */
  report(reports: readonly TaskReport[]): Promise<Outcome<TaskState>[]>;
  /**
   * Reads tasks that wait to be started from the coordinator, a page for each read, in order. An answer holds as many
   * pages as have room, at least one; the other reads are to be repeated.
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
  /** Changes with each process, or on Cloudflare with each deployment: a change means that there was an outage. */
  readonly bootId: string;
  /** Since when this process can be reached, if that is known: the end of the outage before it. */
  reachableSinceMs(): number | null;
  /** A fresh random id of 32 hexadecimal digits. */
  randomId(): string;
  /** Runs `work` soon, in a later event, so that requests are served in between. Lost in a crash. */
  defer(work: () => void): void;
  /** Runs `work` after that many milliseconds unless cancelled by the returned function. Lost in a crash. */
  after(delayMs: number, work: () => void): () => void;
}
