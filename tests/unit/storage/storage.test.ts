/** What every object's storage stands on: migrations, counters, the outbox and the inbox. */
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import type { Failure } from "../../../src/contract/failure.ts";
import { FailureStore } from "../../../src/storage/coordinator/history.ts";
import { COORDINATOR_MIGRATIONS } from "../../../src/storage/coordinator/schema.ts";
import { Counter, META_SCHEMA } from "../../../src/storage/meta.ts";
import { isMigrated, migrate } from "../../../src/storage/migrations.ts";
import { MESSAGING_SCHEMA, OutboxStore } from "../../../src/storage/outbox.ts";
import { NodeSql } from "../../support/simulation/node-sql.ts";

const newSql = () => new NodeSql(new DatabaseSync(":memory:"));

describe("migrations", () => {
  it("run once, in order, and later ones are added to earlier ones", () => {
    const sql = newSql();
    expect(isMigrated(sql)).toBe(false);
    migrate(sql, [["CREATE TABLE a (x)"]]);
    migrate(sql, [["CREATE TABLE a (x)"], ["ALTER TABLE a ADD COLUMN y", "INSERT INTO a VALUES (1, 2)"]]);
    migrate(sql, [["CREATE TABLE a (x)"], ["ALTER TABLE a ADD COLUMN y", "INSERT INTO a VALUES (1, 2)"]]);
    expect(isMigrated(sql)).toBe(true);
    expect(sql.all("SELECT * FROM a")).toEqual([{ x: 1, y: 2 }]);
  });

  it("refuse a history that was changed after it was applied", () => {
    const sql = newSql();
    migrate(sql, [["CREATE TABLE a (x)"]]);
    expect(() => migrate(sql, [["CREATE TABLE a (x, y)"]])).toThrow("migration 0 was changed");
  });

  it("leave nothing behind when one fails", () => {
    const sql = newSql();
    expect(() => migrate(sql, [["CREATE TABLE a (x)", "NONSENSE"]])).toThrow();
    expect(isMigrated(sql)).toBe(false);
  });
});

describe("a counter", () => {
  it("only grows, through restarts and transactions that did not commit", () => {
    const sql = newSql();
    migrate(sql, [META_SCHEMA]);
    let last = 0;
    for (let life = 0; life < 5; life++) {
      const counter = new Counter(sql, "token");
      counter.reload();
      for (let index = 0; index < 100; index++) {
        const number = sql.transaction(() => counter.take());
        expect(number).toBeGreaterThan(last);
        last = number;
      }
      const undone = () =>
        sql.transaction(() => {
          for (let index = 0; index < 70; index++) counter.take();
          throw new Error("undone");
        });
      expect(undone).toThrow("undone");
      counter.reload();
      expect(sql.transaction(() => counter.take())).toBeGreaterThan(last);
    }
  });
});

describe("an outbox", () => {
  it("keeps messages for each receiver in order until they are acknowledged", () => {
    const sql = newSql();
    migrate(sql, [[...META_SCHEMA, ...MESSAGING_SCHEMA]]);
    const outbox = new OutboxStore(sql);
    outbox.reload();
    const first = outbox.append("a", '{"type":"one"}');
    outbox.append("b", '{"type":"other"}');
    const second = outbox.append("a", '{"type":"two"}');
    expect(outbox.head("a", 10).map(({ message }) => message)).toEqual(['{"type":"one"}', '{"type":"two"}']);
    outbox.removeThrough("a", first);
    expect(outbox.head("a", 10).map(({ number }) => number)).toEqual([second]);
    expect(outbox.moveToDeadLetters("a", second, "not understood")).toBe("two");
    expect(outbox.receivers()).toEqual(["b"]);
  });
});

describe("the record of failures", () => {
  it("is read in pages that fit into an answer, however large the failures are", () => {
    const sql = newSql();
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
