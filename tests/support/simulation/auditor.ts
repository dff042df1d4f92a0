/**
 * Checks the guarantees from outside: against the answers that clients got, and against the rows on disk. Each finding is a
 * sentence; a good run has none.
 */
import type { DatabaseSync } from "node:sqlite";
import type { Failure } from "../../../src/contract/failure.ts";
import type { SimulatedAgent } from "./simulated-agent.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";

type TaskRow = { id: string; status: string; attempt: number; result: string };
type AttemptRow = { task_id: string; attempt: number; outcome: string | null; ended_at: number | null };

type LockRow = {
  resource: string;
  holder: string | null;
  incarnation: number | null;
  token: number;
  expiresAtMs: number | null;
  releasedToken: number | null;
};
type Session = { id: string; incarnation: number };
type Waiter = { resource: string; id: string; endsAtMs: number };
type StoredLocks = { rows: LockRow[]; sessions: Session[]; waiters: Waiter[] };

/** Failures that are the end of an incarnation. */
const ENDS = new Set(["heartbeat_timeout", "connection_lost", "agent_restarted", "duplicate_agent_id"]);

export class Auditor {
  readonly findings: string[] = [];
  /** Each lock with its queue, after the last commit. */
  readonly #locks = new Map<string, LockRow & { queue: Waiter[] }>();
  /** Its statements are compiled once for each group, since they run at each of its commits. */
  readonly #readers = new WeakMap<DatabaseSync, () => StoredLocks>();

  /**
   * At each commit of a group, by its rows alone: the holder of a lock is live; a lock passes to another when its holder
   * released it, its TTL has passed or its holder is gone, under a token greater than any before; and it goes to no agent
   * that came after another that still waits.
   */
  watchLocks(group: string, database: DatabaseSync, nowMs: number): void {
    const reader = this.#readerOf(database);
    if (reader === null) return;
    const { rows, sessions, waiters } = reader();
    const isLive = (id: string | null, incarnation: number | null) =>
      sessions.some((session) => session.id === id && session.incarnation === incarnation);
    const highest = Math.max(
      0,
      ...[...this.#locks].filter(([key]) => key.startsWith(`${group}/`)).map(([, { token }]) => token),
    );
    for (const lock of rows) {
      const { resource, holder, incarnation, token, releasedToken } = lock;
      const key = `${group}/${resource}`;
      const known = this.#locks.get(key);
      const queue = waiters.filter((waiter) => waiter.resource === resource);
      if (holder !== null && !isLive(holder, incarnation))
        this.findings.push(`lock ${key} is held by ${holder} (${incarnation}), who is gone`);
      if (known?.token !== token) {
        if (token <= highest)
          this.findings.push(`lock ${key} was granted under token ${token}, not above ${highest}`);
        const isOver =
          known === undefined ||
          known.holder === null ||
          releasedToken === known.token ||
          (known.expiresAtMs ?? 0) <= nowMs ||
          !isLive(known.holder, known.incarnation);
        if (!isOver) this.findings.push(`lock ${key} was taken from ${known.holder} for ${holder}`);
        const position = known?.queue.findIndex(({ id }) => id === holder) ?? -1;
        const before = position < 0 ? known?.queue : known?.queue.slice(0, position);
        const passed = before?.find(
          ({ id, endsAtMs }) => endsAtMs > nowMs && queue.some((waiter) => waiter.id === id),
        );
        if (holder !== null && passed !== undefined)
          this.findings.push(`lock ${key} went to ${holder}, and ${passed.id} had come before`);
      } else if (holder !== known.holder && holder !== null) {
        this.findings.push(`lock ${key} went from ${known.holder} to ${holder} under one token`);
      }
      this.#locks.set(key, { ...lock, queue });
    }
  }

  /** Reads what a group stores about its locks; null before it stores anything. */
  #readerOf(database: DatabaseSync): (() => StoredLocks) | null {
    const known = this.#readers.get(database);
    if (known !== undefined) return known;
    if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'locks'").all().length === 0) return null;
    const locks = database.prepare(
      `SELECT resource, holder, incarnation, fencing_token AS token, expires_at AS expiresAtMs,
       released_token AS releasedToken FROM locks`,
    );
    const sessions = database.prepare("SELECT agent_id AS id, incarnation FROM sessions");
    const waiters = database.prepare(
      "SELECT resource, agent_id AS id, ends_at AS endsAtMs FROM lock_waiters ORDER BY position",
    );
    const reader = () => ({
      rows: locks.all() as LockRow[],
      sessions: sessions.all() as Session[],
      waiters: waiters.all() as Waiter[],
    });
    this.#readers.set(database, reader);
    return reader;
  }

  /** Each grant that an agent learned of had a token of its own. */
  checkGrants(agents: readonly SimulatedAgent[]): void {
    const owners = new Map<string, string>();
    for (const agent of agents) {
      for (const { resource, token } of agent.grants) {
        const key = `${agent.group}/${resource}/${token}`;
        const owner = owners.get(key);
        if (owner !== undefined && owner !== agent.id)
          this.findings.push(`${key} was granted to ${owner} and ${agent.id}`);
        owners.set(key, agent.id);
      }
    }
  }

  /** No accepted task is lost, each is completed, and an acknowledged result stays. */
  checkTasks(
    cluster: SimulatedCluster,
    accepted: readonly string[],
    agents: readonly SimulatedAgent[],
  ): void {
    const { database } = cluster.coordinator;
    const tasks = new Map(
      (database.prepare("SELECT id, status, attempt, result FROM tasks").all() as TaskRow[]).map((row) => [
        row.id,
        row,
      ]),
    );
    for (const id of accepted) {
      const task = tasks.get(id);
      if (task === undefined) this.findings.push(`task ${id} was accepted and is lost`);
      else if (task.status !== "completed")
        this.findings.push(`task ${id} is ${task.status} after all faults ended`);
    }
    for (const agent of agents) {
      for (const { taskId, attempt, result } of agent.results) {
        const task = tasks.get(taskId);
        // The results of two attempts are never the same.
        if (task?.status !== "completed" || JSON.parse(task.result) !== result) {
          this.findings.push(
            `the acknowledged result of ${agent.id} for ${taskId} (attempt ${attempt}) does not stand`,
          );
        }
      }
    }
    this.#checkAttempts(database, tasks);
    this.#checkTerminalEvents(database);
  }

  /** Attempts count up from 1 without gaps, only the last may be open, and at most one completed. */
  #checkAttempts(database: DatabaseSync, tasks: ReadonlyMap<string, TaskRow>): void {
    const rows = database
      .prepare("SELECT task_id, attempt, outcome, ended_at FROM attempts ORDER BY task_id, attempt")
      .all() as AttemptRow[];
    const byTask = Map.groupBy(rows, (row) => row.task_id);
    for (const [id, attempts] of byTask) {
      attempts.forEach(({ attempt, ended_at }, index) => {
        if (attempt !== index + 1)
          this.findings.push(`task ${id} has attempt ${attempt} as number ${index + 1}`);
        if (ended_at === null && index < attempts.length - 1)
          this.findings.push(`task ${id} has two open attempts`);
      });
      const done = attempts.filter(({ outcome }) => outcome === "completed");
      if (done.length > 1) this.findings.push(`task ${id} was completed twice`);
      // A late result may have completed the task, and later attempts may exist then.
      if ((done[0] ?? attempts.at(-1))?.attempt !== tasks.get(id)?.attempt)
        this.findings.push(`task ${id} does not agree with its attempts`);
    }
  }

  #checkTerminalEvents(database: DatabaseSync): void {
    const rows = database
      .prepare(
        `SELECT json_extract(event, '$.subject') AS id, count(*) AS count FROM events
         WHERE json_extract(event, '$.type') IN ('task.completed', 'task.failed', 'task.cancelled') GROUP BY id`,
      )
      .all() as { id: string; count: number }[];
    for (const { id, count } of rows) if (count > 1) this.findings.push(`task ${id} ended ${count} times`);
  }

  failuresOf(cluster: SimulatedCluster): Failure[] {
    const rows = cluster.coordinator.database.prepare("SELECT failure FROM failures").all() as {
      failure: string;
    }[];
    return rows.map((row) => JSON.parse(row.failure) as Failure);
  }

  /** No agent was failed early; each agent that died has one record; each record was covered by a notification. */
  checkFailures(cluster: SimulatedCluster, agents: readonly SimulatedAgent[]): void {
    const failures = this.failuresOf(cluster);
    const timeouts = failures.filter((failure) => failure.failure_type === "heartbeat_timeout");
    for (const failure of timeouts) {
      const incarnation = Number(failure.details.incarnation);
      const agent = agents.find(
        ({ id, lastSignMs }) => id === failure.agent_id && lastSignMs.has(incarnation),
      );
      const lastSignMs = agent?.lastSignMs.get(incarnation);
      if (agent === undefined || lastSignMs === undefined) continue;
      const silentMs = Date.parse(failure.at) - lastSignMs;
      if (silentMs < agent.timeoutMs) {
        this.findings.push(
          `${agent.id} was failed after ${silentMs} ms of silence, its timeout is ${agent.timeoutMs}`,
        );
      }
    }
    const ends = failures.filter((failure) => ENDS.has(failure.failure_type));
    for (const [key, records] of Map.groupBy(
      ends,
      (failure) => `${failure.agent_id}/${failure.details.incarnation}`,
    )) {
      if (records.length > 1) this.findings.push(`${key} has ${records.length} records of one failure`);
    }
    // An agent that crashed before its registration was answered was never accepted.
    for (const agent of agents.filter(({ end, lastSignMs }) => end === "killed" && lastSignMs.size > 0)) {
      const incarnation = Math.max(...agent.lastSignMs.keys());
      const isRecorded = ends.some(
        (failure) => failure.agent_id === agent.id && Number(failure.details.incarnation) >= incarnation,
      );
      if (!isRecorded) this.findings.push(`${agent.instance} crashed and has no failure record`);
    }
    for (const agent of agents.filter(({ end }) => end === "left")) {
      const incarnation = Math.max(...agent.lastSignMs.keys());
      const isRecorded = ends.some((failure) => Number(failure.details.incarnation) === incarnation);
      if (isRecorded) this.findings.push(`${agent.instance} left in good order and has a failure record`);
    }
    this.#checkNotified(cluster, failures);
  }

  /** On each channel a notification arrived that covers the failure; a message that arrived twice was the same. */
  #checkNotified(cluster: SimulatedCluster, failures: readonly Failure[]): void {
    const arrived = cluster.notifier.database.prepare(
      `SELECT DISTINCT channel FROM covered_failures
       JOIN notification_incidents ON dedup_key = 'default/' || incident_id
       JOIN notifications ON notifications.number = notification_incidents.number
       WHERE failure_id = ? AND state = 'delivered' AND created_at >= ?`,
    );
    for (const { id, at, severity } of failures) {
      if (severity === "info") continue;
      const channels = (arrived.all(id, Date.parse(at)) as { channel: string }[]).map((row) => row.channel);
      for (const channel of ["log", "webhook"]) {
        if (!channels.includes(channel)) this.findings.push(`failure ${id} was not notified on ${channel}`);
      }
    }
    const bodies = new Map<string, string>();
    for (const { id, body } of cluster.received) {
      const text = JSON.stringify(body);
      if ((bodies.get(id) ?? text) !== text) this.findings.push(`message ${id} came with two bodies`);
      bodies.set(id, text);
    }
  }

  /** The failures of an agent, by type: ends of its incarnations. */
  checkEnds(cluster: SimulatedCluster, agentId: string, expected: Readonly<Record<string, number>>): void {
    const types = this.failuresOf(cluster)
      .filter(({ agent_id, failure_type }) => agent_id === agentId && ENDS.has(failure_type))
      .map(({ failure_type }) => failure_type);
    const counts = Object.fromEntries(
      [...Map.groupBy(types, (type) => type)].map(([type, all]) => [type, all.length]),
    );
    const [found, wanted] = [counts, expected].map((record) => JSON.stringify(Object.entries(record).sort()));
    if (found !== wanted) this.findings.push(`${agentId} has the failures ${found}, not ${wanted}`);
  }

  /** Only these agents were failed. */
  checkOnlyFailed(cluster: SimulatedCluster, expected: readonly string[]): void {
    for (const { agent_id, failure_type, message } of this.failuresOf(cluster)) {
      if (failure_type === "heartbeat_timeout" && !expected.includes(agent_id ?? "")) {
        this.findings.push(`a live agent was failed: ${message}`);
      }
    }
  }
}
