/** The rows of one table of every object, as lines of JSON. */
import { Database, type Row } from "./database.ts";
import type { Report } from "./report.ts";
import { storedObjects } from "./stored-objects.ts";

/** Rows read at a time: the data of a task may be large. */
const PAGE = 200;

export type TableReading = {
  /** The tables of all objects that could be read. */
  tables: ReadonlySet<string>;
  /** An object's file, and why it could not be read. */
  unreadable: { path: string; problem: string }[];
};

/** Hands over the rows of a table of every object that has it, each with its object. */
export function readTable(
  { report, table }: { report: Report; table: string },
  onRow: (row: Row) => void,
): TableReading {
  const names = new Map<string, string | null>();
  for (const { coordinator, groups, notifier } of report.clusters) {
    for (const object of [coordinator, ...groups, notifier])
      if (object !== null) names.set(object.id, object.name);
  }
  const tables = new Set<string>();
  const unreadable: TableReading["unreadable"] = [];
  for (const { class: className, id, path } of storedObjects(report.data_dir)?.objects ?? []) {
    try {
      using database = new Database(path);
      const ownTables = database.tables();
      for (const name of ownTables) tables.add(name);
      if (!ownTables.includes(table)) continue;
      const object = `${className} ${names.get(id) ?? id}`;
      for (let offset = 0; ; offset += PAGE) {
        // The name is one of the database's own.
        const rows = database.all(`SELECT * FROM "${table}" LIMIT ? OFFSET ?`, PAGE, offset);
        for (const row of rows) onRow({ object, ...row });
        if (rows.length < PAGE) break;
      }
    } catch (error) {
      unreadable.push({ path, problem: error instanceof Error ? error.message : String(error) });
    }
  }
  return { tables, unreadable };
}
