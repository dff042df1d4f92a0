/** The agents of a cluster: one row each. And the groups they are in. */
import type { AgentRecord } from "../../domain/agent.ts";
import type { Sql } from "../sql.ts";
import { flag, json, nullableJson, Table } from "../table.ts";

const AGENTS = new Table<AgentRecord>("agents", {
  key: ["id"],
  columns: {
    id: "id",
    group: "group_id",
    type: "type",
    capabilities: json("capabilities"),
    endpoint: "endpoint",
    labels: json("labels"),
    maxConcurrentTasks: "max_concurrent_tasks",
    heartbeatIntervalMs: "heartbeat_interval_ms",
    heartbeatTimeoutMs: "heartbeat_timeout_ms",
    status: "status",
    drain: nullableJson("drain"),
    incarnation: "incarnation",
    registeredAtMs: "registered_at",
    registeredBy: "registered_by",
    lastHeartbeatAtMs: "last_heartbeat_at",
    isLeaving: flag("is_leaving"),
    cooldownUntilMs: "cooldown_until",
    failureCount: "failure_count",
    tasksCompleted: "tasks_completed",
    tasksFailed: "tasks_failed",
    taskMsTotal: "task_ms_total",
    load: nullableJson("load"),
    reliabilityHistory: json("reliability_history"),
    performance: json("performance"),
    hasOwnTimeout: flag("has_own_timeout"),
    instance: "instance",
    replaced: nullableJson("replaced"),
    conflictUntilMs: "conflict_until",
  },
});

export class AgentStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  all(): AgentRecord[] {
    return this.#sql.all(`SELECT ${AGENTS.columns} FROM agents`).map(AGENTS.read);
  }

  save(agent: AgentRecord): void {
    AGENTS.replace(this.#sql, agent);
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
