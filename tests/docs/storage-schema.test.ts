/** docs/storage-schema.md lists every table and column that the objects store, and no other. */
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { AGENT_GROUP_MIGRATIONS } from "../../src/storage/agent-group/schema.ts";
import { COORDINATOR_MIGRATIONS } from "../../src/storage/coordinator/schema.ts";
import { type Migrations, migrate } from "../../src/storage/migrations.ts";
import { NOTIFIER_MIGRATIONS } from "../../src/storage/notifier/schema.ts";
import { NodeSql } from "../support/simulation/node-sql.ts";

const PAGE = readFileSync(new URL("../../docs/storage-schema.md", import.meta.url), "utf8");

type Columns = Record<string, string[]>;

/** The tables of a section of the page with their columns, in its order. */
function documented(section: string): Columns {
  const text = PAGE.split(/^## /m).find((part) => part.startsWith(`${section}\n`)) ?? "";
  const tables = text.split(/^### /m).slice(1);
  return Object.fromEntries(
    tables.map((table) => [
      /^`(\w+)`/.exec(table)?.[1] ?? "",
      [...table.matchAll(/^\| `(\w+)` \| .+ \|$/gm)].map((match) => match[1] ?? ""),
    ]),
  );
}

/** The tables that migrations make with their columns; `sqlite_…` are SQLite's own. */
function stored(migrations: Migrations): Columns {
  const sql = new NodeSql(new DatabaseSync(":memory:"));
  migrate(sql, migrations);
  const tables = sql.all<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
  );
  return Object.fromEntries(
    tables.map(({ name }) => [
      name,
      sql
        .all<{ name: string }>("SELECT name FROM pragma_table_info(?) ORDER BY cid", name)
        .map((row) => row.name),
    ]),
  );
}

describe("docs/storage-schema.md", () => {
  it.each([
    ["Group", AGENT_GROUP_MIGRATIONS],
    ["Coordinator", COORDINATOR_MIGRATIONS],
    ["Notifier", NOTIFIER_MIGRATIONS],
  ])(
    "lists every table of the object %s with its columns in their order, and no other",
    (section, migrations) => {
      const shared = documented("Every object");
      expect(Object.keys(shared)).not.toHaveLength(0);
      expect({ ...shared, ...documented(section) }).toEqual(stored(migrations));
    },
  );

  it("says of every table when its rows are written and removed", () => {
    const tables = PAGE.split(/^### /m).slice(1);
    for (const table of tables) expect(table).toMatch(/^- Written: .+\n- Removed: .+$/m);
  });
});
