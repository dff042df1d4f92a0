/** `npm run demo` as a user runs it: what it shows, how it ends, and that it leaves nothing behind. */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  commandEnvironment,
  groupEnd,
  groupMembers,
  killGroup,
  PROJECT_ROOT,
  startServer,
} from "../support/server.ts";

/** Some 10 s on an idle machine; the demo's own limit is 75 s. */
const DEMO_TIMEOUT_MS = 120_000;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "failover-demo-test-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Demo = { groupId: number; output(): string; ended: Promise<number | null> };

/** In a process group of its own, so that what is left over can be seen, with temporary files in our folder. */
function runDemo(env: Record<string, string> = {}, words: readonly string[] = []): Demo {
  const child = spawn("npm", ["run", "demo", "--", ...words], {
    cwd: PROJECT_ROOT,
    env: commandEnvironment({ URL: "", CLUSTER: "", TMPDIR: folder, ...env }),
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const pipe of [child.stdout, child.stderr]) {
    pipe.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  }
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { groupId: child.pid ?? 0, output: () => output, ended };
}

const leftFolders = () => readdirSync(folder).filter((name) => name.startsWith("failover-demo-"));

async function until(demo: Demo, text: string): Promise<void> {
  while (!demo.output().includes(text)) {
    const ended = await Promise.race([
      demo.ended,
      new Promise((resolve) => setTimeout(resolve, 50, "not yet")),
    ]);
    if (ended !== "not yet") throw new Error(`the demo ended with ${ended}:\n${demo.output()}`);
  }
}

/** A port that nobody listens on. */
async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe("npm run demo", () => {
  it(
    "tells a whole failover on a server of its own, exits 0 and leaves nothing behind",
    async () => {
      const demo = runDemo();
      try {
        const code = await demo.ended;
        const output = demo.output();
        expect(code, output).toBe(0);
        expect(output).toMatch(/agent1 {2}worker {2}task_type1, task_type2 {2}http:\/\/agent1/);
        expect(output).toMatch(/task1 {2}task_type1 {2}priority 5 {2}→ agent\d/);
        expect(output).toMatch(/agent1 \(pid \d+\) is dead/);
        expect(output).toMatch(/agent1 is declared inactive: heartbeat_timeout/);
        expect(output).toMatch(/the lock db\/orders of agent1 is freed/);
        expect(output).toMatch(/task\d+ → agent[23], attempt 2/);
        expect(output).toMatch(/agent2 holds db\/orders, fencing token \d+/);
        expect(output).toMatch(/in the name of agent1 is refused: 409 stale_attempt/);
        expect(output).toMatch(/noticed [\d.]+ s after the last sign of life/);
        expect(output).toMatch(/told through log: Error: .*agent1/);
        expect(output).toMatch(/task2 had waited → agent1, attempt 2/);
        expect(output).toMatch(/task2 {2}completed by agent1, attempt 2 {2}after agent1 died with attempt 1/);
        expect(output).toMatch(/active agents: 3, inactive agents: 0/);
        expect(output).toMatch(/All of it was seen/);
        // No colours where nobody sees them.
        expect(output).not.toContain("\u001b[");
        expect(groupMembers(demo.groupId)).toEqual([]);
        expect(leftFolders()).toEqual([]);
      } finally {
        await killGroup(demo.groupId);
      }
    },
    DEMO_TIMEOUT_MS,
  );

  it(
    "uses a coordinator that runs already, in a cluster of its own",
    async () => {
      await using server = await startServer();
      const demo = runDemo({ URL: server.url, ADMIN_TOKEN: server.adminToken });
      try {
        expect(await demo.ended, demo.output()).toBe(0);
        expect(demo.output()).toMatch(/cluster demo-[0-9a-f]{8} at http:\/\/127\.0\.0\.1/);
        const headers = { Authorization: `Bearer ${server.adminToken}` };
        const answer = await fetch(`${server.url}/v1/clusters/default/status`, { headers });
        expect(await answer.json()).toMatchObject({ total_agents: 0, failure_count: 0 });
      } finally {
        await killGroup(demo.groupId);
      }
    },
    DEMO_TIMEOUT_MS,
  );

  it("says so and exits 1 when there is nothing at the URL", async () => {
    const demo = runDemo({ URL: `http://127.0.0.1:${await unusedPort()}` });
    expect(await demo.ended).toBe(1);
    expect(demo.output()).toMatch(/no coordinator at http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/);
    await groupEnd(demo.groupId);
  });

  it("says so and exits 1 when the token is wrong", async () => {
    await using server = await startServer();
    const demo = runDemo({ URL: server.url, ADMIN_TOKEN: "not-the-token-of-that-server" });
    expect(await demo.ended).toBe(1);
    expect(demo.output()).toContain("401 unauthorized");
  });

  it("ends all it started when it is interrupted in the middle", async () => {
    const demo = runDemo();
    try {
      await until(demo, "agent2");
      // As a terminal does it: the whole group gets the signal.
      process.kill(-demo.groupId, "SIGINT");
      expect(await demo.ended).not.toBe(0);
      await groupEnd(demo.groupId);
      expect(leftFolders()).toEqual([]);
    } finally {
      await killGroup(demo.groupId);
    }
  });

  it("explains itself with --help, and refuses what it does not know", async () => {
    const help = runDemo({}, ["--help"]);
    expect(await help.ended).toBe(0);
    expect(help.output()).toContain("usage: npm run demo");
    const unknown = runDemo({}, ["--colour"]);
    expect(await unknown.ended).toBe(1);
    expect(unknown.output()).toContain('unknown argument "--colour"');
  });
});
