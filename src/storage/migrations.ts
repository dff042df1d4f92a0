/**
 * Schema migrations. The list only ever grows: a migration that was released is never edited, removed or moved,
 * and a change of the schema is a new migration at its end.
 *
 * Each applied migration is on record with its text. A program that knows another history refuses the storage
 * instead of half understanding it. Layout and comments of the SQL are no part of the history.
 */
import type { Sql } from "./sql.ts";

/** Each entry is one migration: statements in order. */
export type Migrations = readonly (readonly string[])[];

/** Whether this object ever stored anything. */
export function isMigrated(sql: Sql): boolean {
  return sql.all("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'").length > 0;
}

/** Applies the migrations that are not on record yet: all of them, or, if one throws, none. */
export function migrate(sql: Sql, migrations: Migrations): void {
  sql.transaction(() => {
    sql.all("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, statements TEXT NOT NULL)");
    const applied = sql.all<{ number: number; statements: string }>(
      "SELECT number, statements FROM migrations ORDER BY number",
    );
    if (applied.length > migrations.length) throw new Error(newerStorage(applied.length, migrations.length));
    migrations.forEach((statements, number) => {
      const known = applied[number];
      if (known === undefined) {
        for (const statement of statements) sql.all(statement);
        const text = JSON.stringify(statements);
        sql.all("INSERT INTO migrations (number, statements) VALUES (?, ?)", number, text);
      } else if (!isSame(known.statements, statements)) {
        throw new Error(changedHistory(number));
      }
    });
  });
}

function newerStorage(applied: number, known: number): string {
  return (
    `a newer version of the program wrote this storage: it has ${applied} migrations, and this version knows ` +
    `${known}. Run the newer version again, or restore a backup that was made before the upgrade`
  );
}

function changedHistory(number: number): string {
  return (
    `migration ${number} was changed after it was applied to this storage. Restore its text as it was ` +
    "released, and append a new migration for the change"
  );
}

/** @param stored the statements on record, as JSON */
function isSame(stored: string, statements: readonly string[]): boolean {
  if (stored === JSON.stringify(statements)) return true;
  const applied = JSON.parse(stored) as string[];
  return JSON.stringify(applied.map(tokensOf)) === JSON.stringify(statements.map(tokensOf));
}

/** Quoted texts and names, comments, words and numbers, and single other characters. */
const TOKENS = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|[\w$]+|[^\s]/g;

/** What a statement says, without its layout and comments. */
function tokensOf(statement: string): string[] {
  const tokens = statement.match(TOKENS) ?? [];
  return tokens.filter((token) => !token.startsWith("--") && !token.startsWith("/*"));
}
