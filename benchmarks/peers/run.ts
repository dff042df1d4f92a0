/**
 * Kills the worker that runs a task, or holds a lock, and measures when the other worker has it: in this project and
 * in other systems. With `--late`, the worker is paused instead, and completes its task when the other has started
 * it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { keepGroupsIn } from "../../tests/support/groups.ts";
import { lateCompletion, secondsAfterDeath } from "./measure.ts";
import type { System } from "./system.ts";
import { bullmq } from "./systems/bullmq.ts";
import { coordinatorSystems } from "./systems/coordinator.ts";
import { etcd } from "./systems/etcd.ts";
import { pgBoss, pgBossHeartbeat } from "./systems/pg-boss.ts";

const SYSTEMS: readonly System[] = [...coordinatorSystems, bullmq, pgBossHeartbeat, pgBoss, etcd];
const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "5" }, late: { type: "boolean", default: false } },
});
const rounds = Number(values.rounds);
const unknown = positionals.find((name) => SYSTEMS.every((system) => system.name !== name));
if (unknown !== undefined || positionals.length === 0 || !Number.isInteger(rounds) || rounds < 1) {
  console.error(`usage: node benchmarks/peers/run.ts [--rounds 5] [--late] SYSTEM...

${SYSTEMS.map(({ name, settings }) => `  ${name.padEnd(26)}${settings}`).join("\n")}`);
  process.exit(2);
}

const runDir = mkdtempSync(join(tmpdir(), "failover-peers-"));
keepGroupsIn(runDir);
process.once("exit", () => rmSync(runDir, { recursive: true, force: true, maxRetries: 10 }));
for (const [signal, code] of Object.entries(SIGNAL_CODES)) process.once(signal, () => process.exit(code));

for (const name of positionals) {
  for (const system of SYSTEMS) if (system.name === name) await measure(system);
}

async function measure(system: System): Promise<void> {
  await using running = await system.start();
  console.log(`${running.version}, ${system.settings}`);
  if (values.late) {
    console.log(JSON.stringify(await lateCompletion(system, running, "late")));
    return;
  }
  const seconds: number[] = [];
  for (let round = 0; round < rounds; round++) {
    seconds.push(await secondsAfterDeath(system, running, `round-${round}`, round / rounds));
    console.log(`  ${seconds.at(-1)?.toFixed(2)} s`);
  }
  seconds.sort((a, b) => a - b);
  const median = seconds[Math.floor(seconds.length / 2)] ?? Number.NaN;
  console.log(
    `  median ${median.toFixed(1)} s, ${seconds.at(0)?.toFixed(1)} to ${seconds.at(-1)?.toFixed(1)} s`,
  );
}
