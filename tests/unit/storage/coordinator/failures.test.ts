import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import type { Failure, FailureFilter } from "../../../../src/contract/failure.ts";
import { FailureStore } from "../../../../src/storage/coordinator/failures.ts";
import { COORDINATOR_MIGRATIONS } from "../../../../src/storage/coordinator/schema.ts";
import { migrate } from "../../../../src/storage/migrations.ts";
import { NodeSql } from "../../../support/simulation/node-sql.ts";

describe("the record of failures", () => {
  it("is read in pages that fit into an answer, however large the failures are", () => {
    const sql = new NodeSql(new DatabaseSync(":memory:"));
    migrate(sql, COORDINATOR_MIGRATIONS);
    const failures = new FailureStore(sql);
    const large = "x".repeat(1_000_000);
    for (let index = 0; index < 12; index++)
      failures.insert(failure({ id: `f${index}`, message: large }), index);
    const ids: string[] = [];
    let before: number | null = null;
    for (;;) {
      const page: ReturnType<FailureStore["list"]> = failures.list({}, before, 500);
      expect(page.items.length).toBeLessThanOrEqual(6);
      ids.push(...page.items.map((item) => item.failure.id));
      before = page.items.at(-1)?.number ?? null;
      if (!page.hasMore) break;
    }
    expect(ids).toEqual(Array.from({ length: 12 }, (_, index) => `f${11 - index}`));
  });

  it("is read by agent, type, least severity and time, newest first", () => {
    const sql = new NodeSql(new DatabaseSync(":memory:"));
    migrate(sql, COORDINATOR_MIGRATIONS);
    const failures = new FailureStore(sql);
    const at = (second: number) => `2026-01-01T00:00:0${second}.000Z`;
    failures.insert(failure({ id: "f1", at: at(1), agent_id: "a", severity: "warning" }), 1);
    failures.insert(failure({ id: "f2", at: at(2), agent_id: "b", severity: "critical" }), 2);
    failures.insert(failure({ id: "f3", at: at(3), agent_id: "a", failure_type: "task_failure" }), 3);
    const ids = (filter: FailureFilter) =>
      failures.list(filter, null, 10).items.map((item) => item.failure.id);
    expect(ids({})).toEqual(["f3", "f2", "f1"]);
    expect(ids({ agent_id: "a" })).toEqual(["f3", "f1"]);
    expect(ids({ failure_type: "task_failure" })).toEqual(["f3"]);
    expect(ids({ min_severity: "error" })).toEqual(["f3", "f2"]);
    expect(ids({ since: "2026-01-01T02:00:02+02:00" })).toEqual(["f3", "f2"]);
    expect(ids({ until: at(2) })).toEqual(["f2", "f1"]);
    expect(ids({ until: "9999-12-31T23:59:59-12:00" })).toEqual(["f3", "f2", "f1"]);
    expect(ids({ agent_id: "a", min_severity: "error", since: at(1), until: at(2) })).toEqual([]);
  });
});

function failure(overrides: Partial<Failure>): Failure {
  return {
    id: "f",
    at: "2026-01-01T00:00:00.000Z",
    agent_id: "a",
    group: "default",
    failure_type: "reported",
    severity: "error",
    message: "",
    details: {},
    agent: null,
    detection_seconds: null,
    tasks_reassigned: 0,
    tasks_pending: 0,
    tasks_failed: 0,
    locks_released: [],
    ...overrides,
  };
}
