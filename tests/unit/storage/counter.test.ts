import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { COUNTER_SCHEMA, Counter } from "../../../src/storage/counter.ts";
import { migrate } from "../../../src/storage/migrations.ts";
import { NodeSql } from "../../support/simulation/node-sql.ts";

describe("a counter", () => {
  it("only grows, through restarts and transactions that did not commit", () => {
    const sql = new NodeSql(new DatabaseSync(":memory:"));
    migrate(sql, [COUNTER_SCHEMA]);
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
