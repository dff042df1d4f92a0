/** How much longer a call of the command takes than the HTTP call that it makes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildClient } from "../scripts/client-build.ts";
import { startServer } from "../tests/support/server.ts";
import { type Benchmark, figure } from "./benchmark.ts";

const ROUNDS = 15;
/** What a person does not notice. Node itself needs most of the time, to start and to load its `fetch`. */
const LONGER_AT_MOST_MS = 150;

/** The same call without the command. */
const SAME_CALL = `
  const headers = { Authorization: "Bearer " + process.env.FAILOVER_TOKEN };
  await (await fetch(process.env.FAILOVER_URL + "/v1/clusters/default/agents", { headers })).json();`;

export const command: Benchmark = {
  name: "command",
  summary: "how much longer a call of the command takes than its HTTP call",
  async measure() {
    const folder = mkdtempSync(join(tmpdir(), "failover-command-"));
    try {
      writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
      await buildClient(join(folder, "dist"));
      await using server = await startServer();
      const env = { ...process.env, FAILOVER_URL: server.url, FAILOVER_TOKEN: server.adminToken };
      const file = join(folder, "dist", "cli.js");
      const callMs = () =>
        timed(async () => {
          const url = `${server.url}/v1/clusters/default/agents`;
          const headers = { Authorization: `Bearer ${server.adminToken}` };
          await (await fetch(url, { headers })).json();
        });
      const runMs = (...words: string[]) =>
        timed(async () => {
          const child = spawn(process.execPath, words, { env, stdio: "ignore" });
          const [code] = await once(child, "close");
          if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}`);
        });
      const whole: number[] = [];
      const script: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const httpMs = await callMs();
        script.push((await runMs("--input-type=module", "-e", SAME_CALL)) - httpMs);
        whole.push((await runMs(file, "agents")) - httpMs);
      }
      const baseline = { what: "a script with the same call", values: script };
      return [
        figure({ what: "agents, without its HTTP call", unit: "ms", values: whole, baseline }),
        figure({
          what: "agents, longer than that script",
          unit: "ms",
          values: whole.map((value, round) => value - (script[round] ?? Number.NaN)),
          baseline,
          bound: { on: "value", atMost: LONGER_AT_MOST_MS },
        }),
      ];
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function timed(work: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}
