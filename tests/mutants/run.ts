/**
 * `npm run test:mutants`: puts one mutant after the other into the code, and runs the tests that have to notice it: those
 * that use the changed file, then the simulation with more and more seeds.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MUTANTS, type Mutant } from "./mutants.ts";

const HELP = `Changes the code in small ways that each break a guarantee, and checks that a test notices.

usage: npm run test:mutants [-- [name…] [--some N]]

  --some N    N of the mutants, others on each day
  --list      the mutants and what they break
  --help      show this

Exit codes: 0 each mutant was noticed, 1 one was not, 2 an argument is wrong.`;

/** Seeds of the simulation, after the tests that use the changed file. */
const SEEDS = [10, 100, 1000] as const;

/** Ends the run of a mutant that makes the tests hang, which is a failure of theirs. */
const RUN_LIMIT_MS = 30 * 60_000;

const DAY_MS = 86_400_000;

type Run = { name: string; words: readonly string[]; env: NodeJS.ProcessEnv };

process.exitCode = await main(process.argv.slice(2));

async function main(words: readonly string[]): Promise<number> {
  if (words.includes("--help")) {
    console.log(HELP);
    return 0;
  }
  if (words.includes("--list")) {
    for (const { name, breaks } of MUTANTS) console.log(`${name.padEnd(34)}${breaks}`);
    return 0;
  }
  const chosen = choose(words);
  if (chosen === null) return 2;
  let missed = 0;
  for (const mutant of chosen) {
    const startedMs = performance.now();
    const by = await noticedBy(mutant);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
    console.log(
      `${by === null ? "NOT NOTICED" : "noticed"}  ${mutant.name} (${mutant.breaks}), ${seconds} s`,
    );
    if (by === null) missed += 1;
    else for (const test of by) console.log(`         by ${test}`);
  }
  console.log(`${chosen.length - missed} of ${chosen.length} mutants were noticed`);
  return missed === 0 ? 0 : 1;
}

function choose(words: readonly string[]): readonly Mutant[] | null {
  if (words[0] === "--some") {
    const count = Number(words[1]);
    if (!Number.isInteger(count) || count < 1) return refuse("--some needs a whole number from 1");
    const from = (Math.floor(Date.now() / DAY_MS) * count) % MUTANTS.length;
    return Array.from({ length: Math.min(count, MUTANTS.length) }, (_, index) => {
      return MUTANTS[(from + index) % MUTANTS.length] as Mutant;
    });
  }
  const unknown = words.find((word) => MUTANTS.every(({ name }) => name !== word));
  if (unknown !== undefined)
    return refuse(`there is no mutant ${JSON.stringify(unknown)}; --list shows them`);
  return words.length === 0 ? MUTANTS : MUTANTS.filter(({ name }) => words.includes(name));
}

function refuse(problem: string): null {
  console.error(`${problem}. npm run test:mutants -- --help`);
  return null;
}

/** @returns the tests that failed with the mutant, null if none did */
async function noticedBy(mutant: Mutant): Promise<string[] | null> {
  const related = ["related", mutant.file, "--run", "--project", "unit", "--project", "scenarios"];
  const runs: Run[] = [
    { name: "tests of the file", words: related, env: {} },
    ...SEEDS.map((seeds) => ({
      name: `${seeds} seeds`,
      words: ["run", "--project", "simulation"],
      env: { SIMULATION_SEEDS: String(seeds) },
    })),
  ];
  for (const run of runs) {
    const failed = await failedTests(mutant, run);
    if (failed.length > 0) return failed;
  }
  return null;
}

type Report = { testResults: { name: string; status: string; assertionResults: Assertion[] }[] };
type Assertion = { status: string; fullName: string };

async function failedTests(mutant: Mutant, { words, env }: Run): Promise<string[]> {
  const file = join(tmpdir(), `failover-mutant-${process.pid}.json`);
  rmSync(file, { force: true });
  const reporters = ["--reporter=json", `--outputFile=${file}`, "--bail=1"];
  const child = spawn("vitest", [...words, ...reporters], {
    env: { ...process.env, ...env, MUTANT: mutant.name, CI: "true" },
    stdio: "ignore",
    timeout: RUN_LIMIT_MS,
  });
  const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
  if (code === null && !existsSync(file)) return ["the tests did not end"];
  const { testResults } = JSON.parse(readFileSync(file, "utf8")) as Report;
  rmSync(file);
  const tests = testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ status }) => status === "failed").map(({ fullName }) => fullName),
  );
  // Files that the first failure cut short are no evidence; a file that could not be loaded is.
  const files = testResults.filter(({ status }) => status === "failed").map(({ name }) => name);
  const failed = tests.length > 0 ? tests : files;
  if (code !== 0 && failed.length === 0) throw new Error(`the tests broke without a failed one (${code})`);
  return failed;
}
