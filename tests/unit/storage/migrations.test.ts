/** Migrations, on a database of their own. */
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
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
