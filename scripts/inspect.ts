/** `npm run inspect -- [options] [DIR]`: prints the state of a data folder, see scripts/inspect/arguments.ts. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { HELP, readArguments } from "./inspect/arguments.ts";
import { inspect, type Report } from "./inspect/report.ts";
import { reportText } from "./inspect/report-text.ts";
import { readTable } from "./inspect/table-rows.ts";

const EXIT = { done: 0, unreadable: 1, badArguments: 2 };

process.exitCode = run(process.argv.slice(2));

function run(words: readonly string[]): number {
  const read = readArguments(words, process.env);
  if (!read.ok) return refused(...read.lines);
  if (read.value === "help") {
    console.log(HELP);
    return EXIT.done;
  }
  const { dataDir: given, asJson, table, clusters } = read.value;
  const dataDir = resolve(given);
  const report = inspect(dataDir, clusters, Date.now());
  if (report === null) {
    return refused(
      existsSync(dataDir)
        ? `${dataDir} holds no state of npm start: there is no file do/CLASS/ID.sqlite. Name the DATA_DIR of a server ` +
            "that has stored something"
        : `${dataDir} does not exist. Name the DATA_DIR of a server (default .data)`,
    );
  }
  return table === null ? printReport(report, asJson) : printTable(report, table);
}

function printReport(report: Report, asJson: boolean): number {
  console.log(asJson ? JSON.stringify(report, null, 2) : reportText(report));
  const objects = report.clusters.flatMap(({ coordinator, groups, notifier }) => [
    coordinator,
    ...groups,
    notifier,
  ]);
  return objects.some((object) => object !== null && "problem" in object) ? EXIT.unreadable : EXIT.done;
}

function printTable(report: Report, table: string): number {
  const { tables, unreadable } = readTable({ report, table }, (row) => console.log(JSON.stringify(row)));
  for (const { path, problem } of unreadable) console.error(`${path} could not be read: ${problem}`);
  if (unreadable.length > 0) return EXIT.unreadable;
  if (tables.has(table)) return EXIT.done;
  return refused(
    `no object has a table ${JSON.stringify(table)}; there are ${[...tables].sort().join(", ")}`,
  );
}

function refused(...lines: readonly string[]): number {
  for (const line of lines) console.error(line);
  return EXIT.badArguments;
}
