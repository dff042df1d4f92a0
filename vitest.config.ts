/**
 * The kinds of test: pure units; the client on fakes; documents held against the code; scenarios of several parts on
 * simulated time; the services in a seeded simulation, all of these in Node; the objects in workerd; and the whole
 * product over HTTP as a user runs it. They run in three groups, one after the other: what computes, a file for each
 * core; servers, side by side, since their tests mostly wait; and servers that are timed, each alone on the machine.
 */
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { mutation } from "./tests/mutants/mutation.ts";
import { LongestFirst } from "./tests/support/run/longest-first.ts";
import { Progress } from "./tests/support/run/progress.ts";

/** Ends a test that hangs. Some tests compute for 15 s, and for several times as long beside busy cores. */
const UNIT_TIMEOUT_MS = 120_000;

/** Many seeds of a scenario are one test. */
const SIMULATION_TIMEOUT_MS = 600_000;

/** A real server with real time-outs takes its time, more so on a busy machine. */
const E2E_TIMEOUT_MS = 60_000;

/** Where a machine-readable report of the run goes, if anywhere. */
const { TEST_REPORT } = process.env;

const JSON_REPORT: ["json", { outputFile: string }] = ["json", { outputFile: TEST_REPORT ?? "" }];

/** Files of `tests/e2e` that run at the same time. More would make the tests of slow machines late. */
const SERVERS_AT_ONCE = 4;

/** A folder of tests that need nothing but Node. */
function inNode(name: string) {
  const test = { name, include: [`tests/${name}/**/*.test.ts`], testTimeout: UNIT_TIMEOUT_MS };
  return { plugins: mutation(process.env), test };
}

type WithServers = { name: string; include: string[]; maxWorkers: number; groupOrder: number };

/** Tests that start servers. */
function withServers({ name, include, maxWorkers, groupOrder }: WithServers) {
  return {
    test: {
      name,
      include,
      maxWorkers,
      sequence: { groupOrder },
      globalSetup: ["tests/support/bundle-once.ts"],
      testTimeout: E2E_TIMEOUT_MS,
      hookTimeout: E2E_TIMEOUT_MS,
    },
  };
}

export default defineConfig({
  test: {
    // By default one core would be left idle, which is half of a small machine.
    maxWorkers: "100%",
    sequence: { sequencer: LongestFirst },
    reporters: ["default", new Progress(), ...(TEST_REPORT ? [JSON_REPORT] : [])],
    // Of the code that runs in this process; `npm run coverage` leaves out objects and e2e, which run elsewhere.
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts", "worker/**/*.ts", "client/src/**/*.ts", "scripts/**/*.ts"],
      reporter: ["text-summary", "html"],
      reportsDirectory: ".build/coverage",
    },
    projects: [
      // Files share the modules of the process, which saves half of the time: what they test keeps no state in a module.
      { ...inNode("unit"), test: { ...inNode("unit").test, isolate: false } },
      inNode("client"),
      inNode("docs"),
      inNode("scenarios"),
      { ...inNode("simulation"), test: { ...inNode("simulation").test, testTimeout: SIMULATION_TIMEOUT_MS } },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                ADMIN_TOKEN: "admin-token-of-the-tests",
                SIGNING_KEY: "signing-key-of-the-tests-0123456789abcdef",
                BOOT_ID: "boot-1",
              },
            },
          }),
        ],
        test: { name: "objects", include: ["tests/objects/**/*.test.ts"], testTimeout: UNIT_TIMEOUT_MS },
      },
      withServers({
        name: "e2e",
        include: ["tests/e2e/*.test.ts"],
        maxWorkers: SERVERS_AT_ONCE,
        groupOrder: 1,
      }),
      // Servers that are timed to the millisecond do not share the machine with each other, or with the rest.
      withServers({
        name: "e2e-timed",
        include: ["tests/e2e/timed/*.test.ts"],
        maxWorkers: 1,
        groupOrder: 2,
      }),
    ],
  },
});
