/** A run of the tests as a process: what is left of it when it is ended. */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { groupMembers, temporaryFolder } from "../support/groups.ts";
import { ProcessGroup } from "../support/process-group.ts";
import { until } from "../support/until.ts";

/** Of the servers that the run has started: they are process groups of their own. */
const serversOf = (folder: string): number[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".group"))
    .map((name) => Number.parseInt(name.slice(name.lastIndexOf("/") + 1), 10));

it("a test run that gets SIGTERM ends with its servers, and leaves no file behind", async () => {
  const folder = join(temporaryFolder("failover-run-"), "tmp");
  mkdirSync(folder);
  await using run = new ProcessGroup("npm", ["run", "test:e2e", "--", "tests/e2e/sockets.test.ts"], {
    env: { ...process.env, TMPDIR: folder, TEST_REPORT: "" },
  });
  const [server = 0] = await until(() => {
    const servers = serversOf(folder);
    return servers.some((pid) => groupMembers(pid).length > 1) && servers;
  }, "a server of the run");
  run.signal("SIGTERM");
  expect(await run.gone()).not.toBe(0);
  expect(groupMembers(server)).toEqual([]);
  expect(readdirSync(folder)).toEqual([]);
});
