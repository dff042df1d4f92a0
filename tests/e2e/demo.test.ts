/** `npm run demo` as a user runs it: its output, its exit code, and that it leaves no process or file behind. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { groupMembers } from "../support/groups.ts";
import { ProcessGroup } from "../support/process-group.ts";
import { commandEnvironment, startServer } from "../support/server.ts";

/** Some 10 s on an idle machine; the demo's own limit is 75 s. */
const DEMO_TIMEOUT_MS = 120_000;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "failover-demo-test-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The environment of the demo, with temporary files in our folder. */
const runDemo = (env: Record<string, string> = {}, words: readonly string[] = []) =>
  new ProcessGroup("npm", ["run", "demo", "--", ...words], {
    env: commandEnvironment({ URL: "", CLUSTER: "", TMPDIR: folder, ...env }),
  });

const leftFolders = () => readdirSync(folder).filter((name) => name.startsWith("failover-demo-"));

/** A port on which no server listens. */
async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe("npm run demo", () => {
  it(
    "shows a whole failover on a server of its own, exits 0 and leaves no process or file behind",
    async () => {
      await using demo = runDemo();
      const code = await demo.ended;
      const output = demo.output();
      expect(code, output).toBe(0);
      expect(output).toMatch(/agent1 {2}worker {2}task_type1, task_type2 {2}http:\/\/agent1/);
      expect(output).toMatch(/task1 {2}task_type1 {2}priority 5 {2}→ agent\d/);
      expect(output).toMatch(/agent1 \(pid \d+\) is dead/);
      expect(output).toMatch(/agent1 is declared inactive: heartbeat_timeout/);
      expect(output).toMatch(/the lock db\/orders of agent1 is released/);
      expect(output).toMatch(/task\d+ → agent[23], attempt 2/);
      expect(output).toMatch(/agent2 holds db\/orders, fencing token \d+/);
      expect(output).toMatch(/in the name of agent1 is refused: 409 stale_attempt/);
      expect(output).toMatch(/detected [\d.]+ s after the last sign of life/);
      expect(output).toMatch(/notification through log: Error: .*agent1/);
      expect(output).toMatch(/task2 was pending → agent1, attempt 2/);
      expect(output).toMatch(
        /task2 {2}completed by agent1, attempt 2 {2}after agent1 was killed in attempt 1/,
      );
      expect(output).toMatch(/active agents: 3, inactive agents: 0/);
      expect(output).toMatch(/Every step was seen/);
      // No colours, since the output is no terminal.
      expect(output).not.toContain("\u001b[");
      expect(groupMembers(demo.pid)).toEqual([]);
      expect(leftFolders()).toEqual([]);
    },
    DEMO_TIMEOUT_MS,
  );

  it(
    "uses a running coordinator, in a cluster of its own",
    async () => {
      await using server = await startServer();
      await using demo = runDemo({ URL: server.url, ADMIN_TOKEN: server.adminToken });
      expect(await demo.ended, demo.output()).toBe(0);
      expect(demo.output()).toMatch(/cluster demo-[0-9a-f]{8} at http:\/\/127\.0\.0\.1/);
      const headers = { Authorization: `Bearer ${server.adminToken}` };
      const answer = await fetch(`${server.url}/v1/clusters/default/status`, { headers });
      expect(await answer.json()).toMatchObject({ total_agents: 0, failure_count: 0 });
    },
    DEMO_TIMEOUT_MS,
  );

  it("exits 1 with a message when there is no server at the URL", async () => {
    await using demo = runDemo({ URL: `http://127.0.0.1:${await unusedPort()}` });
    expect(await demo.gone()).toBe(1);
    expect(demo.output()).toMatch(/no coordinator at http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/);
  });

  it("exits 1 with a message when the token is wrong", async () => {
    await using server = await startServer();
    await using demo = runDemo({ URL: server.url, ADMIN_TOKEN: "not-the-token-of-that-server" });
    expect(await demo.gone()).toBe(1);
    expect(demo.output()).toContain("401 unauthorized");
  });

  it("ends all its processes when it is interrupted in the middle", async () => {
    await using demo = runDemo();
    await demo.said(/agent2/);
    expect(groupMembers(demo.pid).length).toBeGreaterThan(2);
    expect(leftFolders()).toHaveLength(1);
    demo.signalAll("SIGINT");
    expect(await demo.gone()).not.toBe(0);
    expect(leftFolders()).toEqual([]);
  });

  it("explains itself with --help, and refuses unknown arguments", async () => {
    await using help = runDemo({}, ["--help"]);
    expect(await help.ended).toBe(0);
    expect(help.output()).toContain("usage: npm run demo");
    await using unknown = runDemo({}, ["--colour"]);
    expect(await unknown.ended).toBe(1);
    expect(unknown.output()).toContain('unknown argument "--colour"');
  });
});
