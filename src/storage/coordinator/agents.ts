/** The roster: one row an agent. */
import type { AgentStatus, Load } from "../../contract/agent.ts";
import type { AgentRecord, Drain } from "../../domain/agent.ts";
import type { ReliabilityHistory } from "../../domain/reliability.ts";
import type { PerformanceByType } from "../../domain/task-type-performance.ts";
import type { Sql } from "../sql.ts";

type Row = {
  id: string;
  group_id: string;
  type: string;
  capabilities: string;
  endpoint: string | null;
  labels: string;
  max_concurrent_tasks: number;
  heartbeat_interval_ms: number;
  heartbeat_timeout_ms: number;
  status: string;
  incarnation: number;
  registered_at: number;
  registered_by: string;
  last_heartbeat_at: number | null;
  is_leaving: number;
  cooldown_until: number | null;
  failure_count: number;
  tasks_completed: number;
  tasks_failed: number;
  task_ms_total: number;
  load: string | null;
  reliability_history: string;
  performance: string;
  drain: string | null;
};

export class AgentStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  all(): AgentRecord[] {
    return this.#sql.all<Row>("SELECT * FROM agents").map(recordOf);
  }

  save(agent: AgentRecord): void {
    this.#sql.all(
      `INSERT OR REPLACE INTO agents (id, group_id, type, capabilities, endpoint, labels, max_concurrent_tasks,
         heartbeat_interval_ms, heartbeat_timeout_ms, status, incarnation, registered_at, registered_by,
         last_heartbeat_at, is_leaving, cooldown_until, failure_count, tasks_completed, tasks_failed,
         task_ms_total, load, reliability_history, performance, drain)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      agent.id,
      agent.group,
      agent.type,
      JSON.stringify(agent.capabilities),
      agent.endpoint,
      JSON.stringify(agent.labels),
      agent.maxConcurrentTasks,
      agent.heartbeatIntervalMs,
      agent.heartbeatTimeoutMs,
      agent.status,
      agent.incarnation,
      agent.registeredAtMs,
      agent.registeredBy,
      agent.lastHeartbeatAtMs,
      agent.isLeaving ? 1 : 0,
      agent.cooldownUntilMs,
      agent.failureCount,
      agent.tasksCompleted,
      agent.tasksFailed,
      agent.taskMsTotal,
      agent.load === null ? null : JSON.stringify(agent.load),
      JSON.stringify(agent.reliabilityHistory),
      JSON.stringify(agent.performance),
      agent.drain === null ? null : JSON.stringify(agent.drain),
    );
  }

  remove(id: string): void {
    this.#sql.all("DELETE FROM agents WHERE id = ?", id);
  }

  groups(): string[] {
    return this.#sql.all<{ id: string }>("SELECT id FROM groups ORDER BY id").map((row) => row.id);
  }

  addGroup(id: string): void {
    this.#sql.all("INSERT OR IGNORE INTO groups (id) VALUES (?)", id);
  }
}

function recordOf(row: Row): AgentRecord {
  return {
    id: row.id,
    group: row.group_id,
    type: row.type,
    capabilities: JSON.parse(row.capabilities) as string[],
    endpoint: row.endpoint,
    labels: JSON.parse(row.labels) as Record<string, string>,
    maxConcurrentTasks: row.max_concurrent_tasks,
    heartbeatIntervalMs: row.heartbeat_interval_ms,
    heartbeatTimeoutMs: row.heartbeat_timeout_ms,
    status: row.status as AgentStatus,
    drain: row.drain === null ? null : (JSON.parse(row.drain) as Drain),
    incarnation: row.incarnation,
    registeredAtMs: row.registered_at,
    registeredBy: row.registered_by,
    lastHeartbeatAtMs: row.last_heartbeat_at,
    isLeaving: row.is_leaving === 1,
    cooldownUntilMs: row.cooldown_until,
    failureCount: row.failure_count,
    tasksCompleted: row.tasks_completed,
    tasksFailed: row.tasks_failed,
    taskMsTotal: row.task_ms_total,
    load: row.load === null ? null : (JSON.parse(row.load) as Load),
    reliabilityHistory: JSON.parse(row.reliability_history) as ReliabilityHistory,
    performance: JSON.parse(row.performance) as PerformanceByType,
  };
}
