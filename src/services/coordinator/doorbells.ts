/**
 * Telling agents that their task list changed. A doorbell may be lost, so it is repeated
 * with back-off until the agent starts a task or reads its list. Nothing is stored: after
 * a restart every agent with unstarted tasks is told again, at the pace of how long they
 * have waited.
 */
import type { Host } from "../host.ts";
import type { Roster } from "./roster.ts";
import type { TaskBook } from "./task-book.ts";

/** The first repetition; each further one comes after twice the time. */
const FIRST_REPEAT_MS = 1000;

/** An hour: by then the agent reads its list or is gone. */
const LAST_REPEAT_MS = 3_600_000;

export class Doorbells {
  readonly #host: Host;
  readonly #roster: Roster;
  readonly #tasks: TaskBook;
  /** When each unanswered bell is rung next, and how long after that again. */
  #due = new Map<string, { atMs: number; repeatMs: number }>();

  constructor(host: Host, roster: Roster, tasks: TaskBook) {
    this.#host = host;
    this.#roster = roster;
    this.#tasks = tasks;
  }

  load(nowMs: number): void {
    this.#due = new Map();
    for (const { agentId, oldestAssignedAtMs } of this.#tasks.store.unstartedByAgent()) {
      const waitedMs = Math.max(FIRST_REPEAT_MS, nowMs - oldestAssignedAtMs);
      this.#schedule(agentId, nowMs + waitedMs, waitedMs * 2);
    }
  }

  /** Rings once the present work is committed; to be passed to `afterCommit`. */
  changed(agentId: string, nowMs: number): () => void {
    this.#schedule(agentId, nowMs + FIRST_REPEAT_MS, FIRST_REPEAT_MS * 2);
    return () => this.#ring(agentId);
  }

  answered(agentId: string): void {
    this.#due.delete(agentId);
  }

  nextWorkMs(): number | null {
    let earliestMs: number | null = null;
    for (const { atMs } of this.#due.values()) earliestMs = Math.min(earliestMs ?? atMs, atMs);
    return earliestMs;
  }

  /** Repeats the bells that were not answered. @returns what to run after the commit */
  repeatDue(nowMs: number): () => void {
    const ringing: string[] = [];
    for (const [agentId, { atMs, repeatMs }] of this.#due) {
      if (atMs > nowMs) continue;
      this.#due.delete(agentId);
      if (this.#roster.find(agentId)?.status !== "active") continue;
      this.#schedule(agentId, nowMs + repeatMs, repeatMs * 2);
      ringing.push(agentId);
    }
    return () => {
      for (const agentId of ringing) this.#ring(agentId);
    };
  }

  #schedule(agentId: string, atMs: number, repeatMs: number): void {
    if (repeatMs <= LAST_REPEAT_MS) this.#due.set(agentId, { atMs, repeatMs });
  }

  #ring(agentId: string): void {
    const agent = this.#roster.find(agentId);
    if (agent === undefined) return;
    const assignedTasks = this.#tasks.unstartedOf(agentId);
    this.#host.peers.ringDoorbell(agent.group, { agentId, assignedTasks });
  }
}
