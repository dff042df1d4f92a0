import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import type { Failure } from "../../../../src/contract/failure.ts";
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
