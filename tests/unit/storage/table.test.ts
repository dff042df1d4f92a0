import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { flag, json, nullableJson, Table } from "../../../src/storage/table.ts";
import { NodeSql } from "../../support/simulation/node-sql.ts";

type Job = {
  id: string;
  group: string | null;
  isUrgent: boolean;
  data: unknown;
  error: { message: string } | null;
  weight: number;
};

const JOBS = new Table<Job, number>("jobs", {
  key: ["id"],
  fixed: ["group"],
  columns: {
    id: "id",
    group: "group_id",
    isUrgent: flag("is_urgent"),
    data: json("data"),
    error: nullableJson("error"),
    weight: "weight",
  },
  computed: { rank: ({ weight }, factor) => weight * factor },
});

function newJobs(): NodeSql {
  const sql = new NodeSql(new DatabaseSync(":memory:"));
  sql.all(`CREATE TABLE jobs (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, group_id TEXT, is_urgent INTEGER NOT NULL, data TEXT NOT NULL,
    error TEXT, weight REAL NOT NULL, rank REAL NOT NULL)`);
  return sql;
}

const readAll = (sql: NodeSql) => sql.all(`SELECT ${JOBS.columns} FROM jobs ORDER BY id`).map(JOBS.read);

describe("a table", () => {
  it("reads back every record that it stored", () => {
    const sql = newJobs();
    const jobs: Job[] = [
      { id: "a", group: "eu", isUrgent: true, data: { list: [1] }, error: { message: "no" }, weight: 0.5 },
      { id: "b", group: null, isUrgent: false, data: null, error: null, weight: 2 },
      { id: "c", group: null, isUrgent: false, data: [], error: null, weight: 2 },
      { id: "d", group: null, isUrgent: false, data: "null", error: null, weight: 2 },
    ];
    for (const job of jobs) JOBS.insert(sql, job, 10);
    expect(readAll(sql)).toEqual(jobs);
    expect(sql.all("SELECT is_urgent, data, error, rank FROM jobs WHERE id = 'b'")).toEqual([
      { is_urgent: 0, data: "null", error: null, rank: 20 },
    ]);
  });

  it("stores an undefined JSON value as null", () => {
    const sql = newJobs();
    JOBS.insert(sql, { id: "a", group: null, isUrgent: false, data: undefined, error: null, weight: 1 }, 1);
    expect(readAll(sql)[0]?.data).toBeNull();
  });

  it("updates what can change of one record, its computed columns included, and leaves the rest alone", () => {
    const sql = newJobs();
    const job: Job = { id: "a", group: "eu", isUrgent: false, data: 1, error: null, weight: 1 };
    JOBS.insert(sql, job, 10);
    JOBS.insert(sql, { ...job, id: "b" }, 10);
    JOBS.update(sql, { ...job, group: "us", isUrgent: true, weight: 3 }, 100);
    expect(readAll(sql)).toEqual([
      { ...job, isUrgent: true, weight: 3 },
      { ...job, id: "b" },
    ]);
    expect(sql.all("SELECT rank FROM jobs ORDER BY id")).toEqual([{ rank: 300 }, { rank: 10 }]);
  });

  it("replaces the record with the same key", () => {
    const sql = newJobs();
    const job: Job = { id: "a", group: "eu", isUrgent: false, data: 1, error: null, weight: 1 };
    JOBS.replace(sql, job, 1);
    JOBS.replace(sql, { ...job, group: "us" }, 1);
    expect(readAll(sql)).toEqual([{ ...job, group: "us" }]);
  });

  it("with more columns than one statement can bind is refused when it is described", () => {
    const columns = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`f${index}`, `c${index}`]));
    expect(() => new Table<Record<string, string>>("wide", { key: [], columns })).toThrow("101 columns");
  });
});
