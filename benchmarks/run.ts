/**
 * `npm run bench`: runs the benchmarks that are named, else all of them, and prints each figure beside its
 * baseline. Fails when a documented bound is missed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keepGroupsIn } from "../tests/support/groups.ts";
import { isMet } from "./benchmark.ts";
import { BENCHMARKS } from "./registry.ts";
import { json, type Result, table } from "./report.ts";

const HELP = `Measures how fast the coordinator is, each figure beside a baseline in the same run.

usage: npm run bench [-- [name…] [--json]]

${BENCHMARKS.map(({ name, summary }) => `  ${name.padEnd(12)}${summary}`).join("\n")}

  --json      the figures for programs, nothing else on stdout
  --help      show this

Values are medians over several rounds, with the least and the most in parentheses. Machines are shared
and noisy: compare ratios, not values, between two runs.

Exit codes: 0 every bound is kept, 1 one is not or a benchmark failed, 2 an argument is wrong.`;

const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const words = process.argv.slice(2);
if (words.includes("--help") || words.includes("-h")) {
  console.log(HELP);
  process.exit(0);
}
const names = words.filter((word) => word !== "--json");
const unknown = names.find((word) => BENCHMARKS.every(({ name }) => name !== word));
if (unknown !== undefined) {
  const known = BENCHMARKS.map(({ name }) => name).join(", ");
  console.error(
    `there is no benchmark ${JSON.stringify(unknown)}: choose from ${known}; see npm run bench -- --help`,
  );
  process.exit(2);
}

cleanUpAtExit();
const isForPrograms = words.includes("--json");
const results: Result[] = [];
for (const benchmark of BENCHMARKS) {
  if (names.length > 0 && !names.includes(benchmark.name)) continue;
  console.error(`running ${benchmark.name} …`);
  const result = { benchmark, figures: await benchmark.measure() };
  results.push(result);
  if (!isForPrograms) console.log(`\n${table(result)}\n`);
}
if (isForPrograms) console.log(json(results));
if (!results.every(({ figures }) => figures.every(isMet))) {
  console.error("a bound was missed");
  process.exitCode = 1;
}

/** A server is a process group of its own, which no Ctrl-C reaches, so it is ended when this process exits. */
function cleanUpAtExit(): void {
  const runDir = mkdtempSync(join(tmpdir(), "failover-bench-"));
  keepGroupsIn(runDir);
  // Runs after the handler of server.ts that kills servers; a killed server may still be writing.
  process.once("exit", () => rmSync(runDir, { recursive: true, force: true, maxRetries: 10 }));
  for (const [signal, code] of Object.entries(SIGNAL_CODES)) process.once(signal, () => process.exit(code));
}
