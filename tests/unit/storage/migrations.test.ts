import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { COORDINATOR_MIGRATIONS } from "../../../src/storage/coordinator/schema.ts";
import { isMigrated, migrate } from "../../../src/storage/migrations.ts";
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

  it("leave nothing behind when one fails", () => {
    const sql = newSql();
    expect(() => migrate(sql, [["CREATE TABLE a (x)", "NONSENSE"]])).toThrow();
    expect(isMigrated(sql)).toBe(false);
  });

  it("leave a migrated storage as it was when a later one fails", () => {
    const sql = newSql();
    migrate(sql, [["CREATE TABLE a (x)"]]);
    expect(() => migrate(sql, [["CREATE TABLE a (x)"], ["DROP TABLE a", "NONSENSE"]])).toThrow();
    expect(sql.all("SELECT * FROM a")).toEqual([]);
    migrate(sql, [["CREATE TABLE a (x)"]]);
  });
});

describe("a storage that a newer version wrote", () => {
  it("is refused with what to do, and is not changed", () => {
    const sql = newSql();
    migrate(sql, [["CREATE TABLE a (x)"], ["CREATE TABLE b (y)"]]);
    expect(() => migrate(sql, [["CREATE TABLE a (x)"]])).toThrow(
      "a newer version of the program wrote this storage: it has 2 migrations, and this version knows 1. " +
        "Run the newer version again, or restore a backup that was made before the upgrade",
    );
    migrate(sql, [["CREATE TABLE a (x)"], ["CREATE TABLE b (y)"]]);
  });
});

describe("a migration that was applied", () => {
  const applied = [
    "CREATE TABLE a (x TEXT NOT NULL, y INTEGER)",
    "INSERT INTO a (x, y) VALUES ('-- no comment', 1)",
  ];
  const reread = (statements: string[]) => {
    const sql = newSql();
    migrate(sql, [applied]);
    return () => migrate(sql, [statements]);
  };

  it("may be laid out anew, with other comments", () => {
    const [create = "", insert = ""] = applied;
    expect(
      reread([
        `CREATE TABLE a (
           x TEXT NOT NULL, -- what's x?
           y INTEGER /* "y" */
         )`,
        insert.replaceAll(", ", ",\n"),
      ]),
    ).not.toThrow();
    expect(reread([create.replaceAll(" ", "  "), `${insert} -- the first row`])).not.toThrow();
  });

  it.each([
    ["a column is added", ["CREATE TABLE a (x TEXT NOT NULL, y INTEGER, z)", applied[1]]],
    ["a constraint is removed", ["CREATE TABLE a (x TEXT, y INTEGER)", applied[1]]],
    ["two columns change places", ["CREATE TABLE a (y INTEGER, x TEXT NOT NULL)", applied[1]]],
    ["a text changes in its spaces", [applied[0], "INSERT INTO a (x, y) VALUES ('--  no comment', 1)"]],
    [
      "a text changes behind what looks like a comment",
      [applied[0], "INSERT INTO a (x, y) VALUES ('-- no', 1)"],
    ],
    ["a part becomes a comment", ["CREATE TABLE a (x TEXT NOT NULL, y /* INTEGER */)", applied[1]]],
    ["a statement is removed", [applied[0]]],
    ["two names become one", ["CREATE TABLE a (x TEXT NOTNULL, y INTEGER)", applied[1]]],
  ])("is refused when %s", (_, statements) => {
    expect(reread(statements as string[])).toThrow("migration 0 was changed after it was applied");
  });
});

describe("the schema of the coordinator", () => {
  it("is read in any layout", () => {
    const sql = newSql();
    migrate(sql, COORDINATOR_MIGRATIONS);
    const dense = COORDINATOR_MIGRATIONS.map((statements) =>
      statements.map((statement) => statement.replace(/--[^\n]*/g, "").replace(/\s+/g, " ")),
    );
    expect(() => migrate(sql, dense)).not.toThrow();
  });
});
