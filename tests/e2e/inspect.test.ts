/** `npm run inspect` on the data folder of a real server: running, stopped, killed, and on what is none. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Report } from "../../scripts/inspect/report.ts";
import { COORDINATOR_MIGRATIONS } from "../../src/storage/coordinator/schema.ts";
import { type Ended, ended } from "../support/ended.ts";
import { PROJECT_ROOT, type Server, startServer } from "../support/server.ts";

const runInspect = (...words: string[]): Promise<Ended> =>
  ended(process.execPath, [join(PROJECT_ROOT, "scripts", "inspect.ts"), ...words], process.env);

async function reportOf(dataDir: string): Promise<Report> {
  const { code, stdout, stderr } = await runInspect("--json", dataDir);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as Report;
}

let folder = "";
let server: Server;

async function call(method: string, path: string, body?: unknown): Promise<void> {
  const response = await fetch(`${server.url}/v1/clusters/eu${path}`, {
    method,
    headers: { authorization: `Bearer ${server.adminToken}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(response.ok, `${method} ${path}: ${await response.text()}`).toBe(true);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "failover-inspect-"));
  server = await startServer({ dataDir: join(folder, "data") });
  const times = { heartbeat_interval_seconds: 600, heartbeat_timeout_seconds: 1800 };
  for (const agent of ["a1", "a2"]) {
    await call("PUT", `/groups/g1/agents/${agent}`, { type: "t", capabilities: ["build"], ...times });
  }
  await call("POST", "/tasks", { id: "t1", type: "build", timeout_seconds: 3600 });
  await call("POST", "/tasks", { id: "t2", type: "unknown" });
  await call("POST", "/groups/g1/locks/db/acquire", { agent_id: "a1", ttl_seconds: 3000 });
  await call("POST", "/agents/a2/failures", { failure_type: "reported" });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

describe("npm run inspect", () => {
  const expectState = ({ clusters }: Report) => {
    expect(clusters.map(({ name, groups }) => [name, groups.map((group) => group.name)])).toEqual([
      ["eu", ["eu/g1"]],
    ]);
    const [cluster] = clusters;
    expect(cluster?.coordinator).toMatchObject({
      name: "eu",
      state: {
        schema_version: COORDINATOR_MIGRATIONS.length,
        known_schema_version: COORDINATOR_MIGRATIONS.length,
        groups: ["g1"],
        agents: { active: 1, inactive: 1 },
        tasks: { assigned: 1, pending: 1 },
        failures: { reported: 1 },
        dead_letter_count: 0,
      },
    });
    expect(cluster?.groups).toMatchObject([
      {
        state: {
          agents: { live: 1, suspect: 0 },
          locks: [{ resource: "db", holder: "a1", incarnation: 1, waiters: 0 }],
          locks_held: 1,
        },
      },
    ]);
    expect(cluster?.notifier).toMatchObject({ name: "eu", state: { open_incidents: 1 } });
  };

  it("reports the state of a running server", async () => {
    await expect
      .poll(() => reportOf(server.dataDir), { timeout: 20_000, interval: 500 })
      .toSatisfy((report: Report) => {
        const state = report.clusters[0]?.notifier;
        return state !== null && state !== undefined && "state" in state && state.state.open_incidents === 1;
      });
    const report = await reportOf(server.dataDir);
    expectState(report);
    const [group] = report.clusters[0]?.groups ?? [];
    const deadlineAt = group !== undefined && "state" in group ? group.state.next_agent_deadline_at : null;
    expect((deadlineAt ?? 0) - report.read_at).toBeGreaterThan(1_700_000);
    expect((deadlineAt ?? 0) - report.read_at).toBeLessThanOrEqual(1_800_000);
    expect(group?.alarm_at).not.toBeNull();
  });

  it("leaves a running server as it is", async () => {
    await Promise.all(Array.from({ length: 3 }, () => runInspect(server.dataDir)));
    await call("POST", "/tasks", { id: "t3", type: "unknown" });
    await call("POST", "/tasks/t3/cancel");
    const { stdout } = await runInspect("--table", "tasks", server.dataDir);
    expect(stdout).toContain('"id":"t3"');
  });

  it("prints text, and the rows of one table", async () => {
    const text = await runInspect(server.dataDir);
    expect(text).toMatchObject({ code: 0, stderr: "" });
    expect(text.stdout).toContain("cluster eu\n  coordinator: ");
    expect(text.stdout).toContain("  db: a1 (incarnation 1, token 1), expires in ");
    const rows = await runInspect("--table", "locks", server.dataDir);
    expect(rows.code).toBe(0);
    expect(JSON.parse(rows.stdout)).toMatchObject({
      object: "AgentGroup eu/g1",
      resource: "db",
      holder: "a1",
    });
    const unknown = await runInspect("--table", "lock", server.dataDir);
    expect(unknown).toMatchObject({ code: 2, stdout: "" });
    expect(unknown.stderr).toContain('no object has a table "lock"; there are ');
  });

  it("reports the same of a server that was killed, and of one that was stopped", async () => {
    await server.kill();
    expectState(withoutCancelled(await reportOf(server.dataDir)));
    await server.restart();
    await server.stop();
    expectState(withoutCancelled(await reportOf(server.dataDir)));
  });

  it("names a file that it cannot read, and reports the rest", async () => {
    const groups = join(server.dataDir, "do", "AgentGroup");
    const damaged = join(groups, `${"0".repeat(64)}.sqlite`);
    writeFileSync(damaged, "no database".repeat(1000));
    const { code, stdout } = await runInspect(server.dataDir);
    expect(code).toBe(1);
    expect(stdout).toContain("not readable: file is not a database");
    expect(stdout).toContain("cluster eu\n");
    const rows = await runInspect("--table", "tasks", server.dataDir);
    expect(rows.code).toBe(1);
    expect(rows.stderr).toContain(`${damaged} could not be read`);
    rmSync(damaged);
  });

  it("refuses a folder without state and wrong arguments with code 2, and writes nothing into it", async () => {
    const empty = join(folder, "empty");
    mkdirSync(empty);
    const missing = join(folder, "missing");
    for (const dir of [empty, missing, PROJECT_ROOT]) {
      const refused = await runInspect(dir);
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      const problem = dir === missing ? "does not exist" : "holds no state of npm start";
      expect(refused.stderr).toContain(`${dir} ${problem}`);
    }
    expect(existsSync(missing)).toBe(false);
    expect(readdirSync(empty)).toEqual([]);
    expect(await runInspect("--jsn")).toMatchObject({ code: 2, stdout: "" });
    const help = await runInspect("--help");
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toContain("Exit codes:");
  });
});

/** Without the task that another test submitted and cancelled. */
function withoutCancelled(report: Report): Report {
  const text = JSON.stringify(report).replaceAll('"cancelled":1,', "");
  return JSON.parse(text) as Report;
}
