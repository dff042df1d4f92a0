/** The delivery log: how its messages are found. */
import { DatabaseSync } from "node:sqlite";
import { expect, it } from "vitest";
import { migrate } from "../../../../src/storage/migrations.ts";
import { NotificationStore } from "../../../../src/storage/notifier/notifications.ts";
import { NOTIFIER_MIGRATIONS } from "../../../../src/storage/notifier/schema.ts";
import type { Sql } from "../../../../src/storage/sql.ts";
import { NodeSql } from "../../../support/simulation/node-sql.ts";

/** The plan of the last statement that a piece of work runs. */
function planOf(sql: NodeSql, work: (sql: Sql) => void): string {
  let plan: { detail: string }[] = [];
  work({
    all: (statement, ...bindings) => {
      plan = sql.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${statement}`, ...bindings);
      return sql.all(statement, ...bindings);
    },
    transaction: (inner) => sql.transaction(inner),
    sizeBytes: () => sql.sizeBytes(),
  });
  return plan.map(({ detail }) => detail).join("; ");
}

it("the messages that are due are found among the pending ones, not in the whole log of their channel", () => {
  const sql = new NodeSql(new DatabaseSync(":memory:"));
  sql.transaction(() => migrate(sql, NOTIFIER_MIGRATIONS));
  const plan = planOf(sql, (watched) => new NotificationStore(watched).due("webhook", 1000, 10));
  expect(plan).toContain("notifications_pending");
  expect(plan).not.toContain("notifications_by_channel");
});
