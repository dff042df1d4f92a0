/**
 * Append-only schema migrations. What was applied is on record with its text, so a
 * history that was changed afterwards is refused instead of half understood.
 */
import type { Sql } from "./sql.ts";

/** Each entry is one migration: statements in order. Never edit one that was released; append. */
export type Migrations = readonly (readonly string[])[];

/** Whether this object ever stored anything. */
export function isMigrated(sql: Sql): boolean {
  return sql.all("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'").length > 0;
}

export function migrate(sql: Sql, migrations: Migrations): void {
  sql.transaction(() => {
    sql.all("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, statements TEXT NOT NULL)");
    const applied = sql.all<{ number: number; statements: string }>(
      "SELECT number, statements FROM migrations ORDER BY number",
    );
    migrations.forEach((statements, number) => {
      const text = JSON.stringify(statements);
      const known = applied[number];
      if (known === undefined) {
        for (const statement of statements) sql.all(statement);
        sql.all("INSERT INTO migrations (number, statements) VALUES (?, ?)", number, text);
      } else if (known.statements !== text) {
        throw new Error(`migration ${number} was changed after it was applied`);
      }
    });
  });
}
