import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { COUNTER_SCHEMA } from "../../../src/storage/counter.ts";
import { migrate } from "../../../src/storage/migrations.ts";
import { OUTBOX_SCHEMA, OutboxStore } from "../../../src/storage/outbox.ts";
import { NodeSql } from "../../support/simulation/node-sql.ts";

describe("an outbox", () => {
  it("keeps messages for each receiver in order until they are acknowledged", () => {
    const sql = new NodeSql(new DatabaseSync(":memory:"));
    migrate(sql, [[...COUNTER_SCHEMA, ...OUTBOX_SCHEMA]]);
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
