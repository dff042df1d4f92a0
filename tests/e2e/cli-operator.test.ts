/** The command in the hands of an operator: what fails, what is stuck, what would happen, and why. */
import { describe, expect, it } from "vitest";
import { DistributedCoordinator } from "../../client/src/index.ts";
import { cliOfThisFile } from "../support/cli.ts";
import type { Ended } from "../support/ended.ts";
import { until } from "../support/until.ts";

const cli = cliOfThisFile();

/** An instant as the command prints it. */
const TIME = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)/.source;

type Operated = { coordinator: DistributedCoordinator; command: (...words: string[]) => Promise<Ended> };

/** A cluster that no other test uses. */
function operated(cluster: string): Operated {
  const coordinator = new DistributedCoordinator({ ...cli.access, cluster });
  return { coordinator, command: (...words) => cli.run(...words, "--cluster", cluster) };
}

/** Longer than a test takes on any machine: no agent is declared failed unless a test reports it. */
const LASTING = { heartbeat_interval_seconds: 600, heartbeat_timeout_seconds: 3600 };

type Registering = { group?: string; capabilities?: string[]; max_concurrent_tasks?: number };

const register = (
  { coordinator }: Pick<Operated, "coordinator">,
  id: string,
  registering: Registering = {},
) => coordinator.registerAgent({ id, type: "worker", capabilities: ["resize"], ...LASTING, ...registering });

/** The output of a call that must succeed. */
async function printed(call: Promise<Ended>): Promise<string> {
  const { code, stdout, stderr } = await call;
  expect([code, stderr], stdout).toEqual([0, ""]);
  return stdout;
}

/** The row of a table that begins with this word. */
const row = (table: string, first: string) =>
  table.split("\n").find((line) => line.startsWith(`${first} `)) ?? `no row ${first} in\n${table}`;

async function acquire(
  { coordinator }: Operated,
  cluster: string,
  body: { agent_id: string; wait_seconds?: number },
) {
  await coordinator.getClusterStatus();
  const path = `${cli.server.url}/v1/clusters/${cluster}/groups/default/locks/db%2Forders/acquire`;
  return fetch(path, {
    method: "POST",
    headers: { Authorization: `Bearer ${cli.server.adminToken}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

describe("simulate", () => {
  it("shows tasks that would be failed and locks that would be released, and exits with 7", async () => {
    const here = operated("simulated");
    const { coordinator, command } = here;
    await coordinator.config.patch({ failover_config: { max_reassignment_attempts: 0 } });
    await register({ coordinator }, "a1");
    await coordinator.tasks.submit({ id: "t1", type: "resize" });
    await register({ coordinator }, "a2");
    expect((await acquire(here, "simulated", { agent_id: "a1" })).status).toBe(200);

    const { code, stdout, stderr } = await command("simulate", "a1");
    expect([code, stderr]).toEqual([7, "1 would be failed, 0 would be without a live agent\n"]);
    expect(row(stdout, "t1")).toMatch(
      /^t1 +a1 +\(failed\) +reassigned as often as max_reassignment_attempts allows$/,
    );
    expect(row(stdout, "db/orders")).toMatch(/^db\/orders +default +a1 +\(no waiter\)$/);
    expect(stdout).toContain(
      "1 task affected: 0 reassigned, 1 failed, 0 without a live agent; 1 lock released\n",
    );

    await coordinator.config.patch({ failover_config: { max_reassignment_attempts: null } });
    expect(row(await printed(command("simulate", "a1")), "t1")).toMatch(/^t1 +a1 +a2 +a2 takes t1/);
  });

  it("says that an agent is inactive already", async () => {
    const { coordinator, command } = operated("simulated-inactive");
    await register({ coordinator }, "a1");
    await coordinator.agents.reportFailure("a1", { failure_type: "reported" });
    expect(await printed(command("simulate", "a1"))).toMatch(/^a1 is inactive already\n0 tasks affected/);
  });
});

describe("tasks --stuck", () => {
  it("says of each task why it waits or makes no progress", async () => {
    const { coordinator, command } = operated("stuck");
    const { token } = await register({ coordinator }, "a1", { max_concurrent_tasks: 2 });
    for (const id of ["running", "assigned", "queued", "behind"])
      await coordinator.tasks.submit({ id, type: "resize" });
    await coordinator.tasks.submit({ id: "impossible", type: "engrave" });
    const report = (path: string, body: object) =>
      fetch(`${cli.server.url}/v1/clusters/stuck/tasks/${path}`, {
        method: "POST",
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
        body: JSON.stringify({ agent_id: "a1", attempt: 1, ...body }),
      });
    expect((await report("running/progress", { progress: 0.4 })).status).toBe(200);

    const stuck = await printed(command("tasks", "--stuck", "--for", "0s"));
    expect(stuck).toMatch(/^TASK +TYPE +STATUS +AGENT +AGE +PROGRESS +WHY\n/);
    expect(row(stuck, "impossible")).toMatch(
      / +pending +- +\d+s +- +no live agent can do engrave: 1 without the capability$/,
    );
    expect(row(stuck, "queued")).toMatch(/ first of its type in the queue; no free slot: 1 at capacity$/);
    expect(row(stuck, "behind")).toMatch(/ queued behind 1 of its type; no free slot: 1 at capacity$/);
    expect(row(stuck, "running")).toMatch(/ +running +a1 +\d+s +40% +a1 has reported no progress for \d+s$/);
    expect(row(stuck, "assigned")).toMatch(/ +assigned +a1 +\d+s +- +a1 has not started it for \d+s$/);
    // By default, only what has not moved for five minutes.
    const usual = await printed(command("tasks", "--stuck"));
    expect(usual).not.toContain("running");
    expect(row(usual, "queued")).toContain("pending");

    const few = await command("tasks", "--stuck", "--limit", "1");
    expect(few.stderr).toBe("only the oldest 1 of 3 are shown; --limit N shows more\n");
    const [task] = JSON.parse((await command("tasks", "--stuck", "--json")).stdout) as { why: string }[];
    expect(task).toMatchObject({ id: "queued", why: expect.stringContaining("first of its type") });
    expect(row(await printed(command("tasks")), "running")).toMatch(/ +running +5 +a1 +1 +\d+s +40% +-$/);
  });

  it("shows tasks of dead agents that no failover takes", async () => {
    const { coordinator, command } = operated("stuck-off");
    await coordinator.config.patch({ failover_config: { enabled: false } });
    await register({ coordinator }, "a1");
    await coordinator.tasks.submit({ id: "t1", type: "resize" });
    await coordinator.agents.reportFailure("a1", { failure_type: "reported" });
    expect(row(await printed(command("tasks", "--stuck")), "t1")).toMatch(
      / a1 is inactive, and no failover takes the task$/,
    );
  });
});

describe("failures and incidents", () => {
  it("are listed by time, and name agents that fail repeatedly", async () => {
    const { coordinator, command } = operated("failures");
    expect(await printed(command("incidents", "--flapping"))).toBe("no agent fails repeatedly\n");
    for (const message of ["power cut 1", "power cut 2", "power cut 3"]) {
      await register({ coordinator }, "a1");
      await coordinator.agents.reportFailure("a1", { failure_type: "power_cut", message });
    }
    const hour = await printed(command("failures", "--since", "1h"));
    expect(hour).toMatch(/^AT +SEVERITY +TYPE +AGENT +REASSIGNED +PENDING +FAILED +LOCKS +MESSAGE\n/);
    expect(hour).toMatch(new RegExp(`^${TIME} +error +power_cut +a1 +0 +0 +0 +0 +a1: power cut 3$`, "m"));
    expect(await printed(command("failures", "--until", "1h"))).toBe("nothing found\n");
    const newest = await command("failures", "--limit", "1");
    expect(newest.stderr).toBe("only the newest 1 are shown; --limit N shows more\n");

    await until(async () => /a1 fails repeatedly/.test((await command("incidents")).stdout), "the incident");
    const incidents = await printed(command("incidents", "--status", "firing"));
    expect(incidents).toMatch(new RegExp(`^${TIME} firing error a1 fails repeatedly\n`));
    expect(incidents).toContain("\n  a1 flapping, 3 times: a1: power cut 3");
    const flapping = await printed(command("incidents", "--flapping"));
    expect(flapping).toMatch(/^AGENT +FAILURES +FIRST +LAST +TYPE +MESSAGE\n/);
    expect(row(flapping, "a1")).toMatch(new RegExp(`^a1 +3 +${TIME} +${TIME} +power_cut +a1: power cut 3$`));
    // A task that fails repeatedly is no agent that does.
    const { token } = await register({ coordinator }, "a2", { capabilities: ["juggle"] });
    await coordinator.tasks.submit({ id: "t1", type: "juggle" });
    for (let attempt = 1; attempt <= 3; attempt++) {
      await until(async () => (await coordinator.tasks.get("t1")).attempt === attempt, "the next attempt");
      await fetch(`${cli.server.url}/v1/clusters/failures/tasks/t1/fail`, {
        method: "POST",
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
        body: JSON.stringify({ agent_id: "a2", attempt, error: { message: "fell" } }),
      });
    }
    await until(
      async () => (await command("incidents")).stdout.includes("t1 flapping, 3 times"),
      "the entry",
    );
    expect(await printed(command("incidents", "--flapping"))).not.toContain("a2");
    expect(await command("failures", "--since", "yesterday")).toMatchObject({
      code: 2,
      stderr: "--since must be a duration such as 90s, 15m, 1h or 2d\n",
    });
  });
});

describe("explain", () => {
  it("says of what and when the previous agent died", async () => {
    const { coordinator, command } = operated("explained");
    await register({ coordinator }, "a1");
    await coordinator.tasks.submit({ id: "t1", type: "resize" });
    await register({ coordinator }, "a2");
    await coordinator.agents.reportFailure("a1", { failure_type: "power_cut", message: "hall A is dark" });
    const explained = await printed(command("explain", "t1"));
    expect(explained).toMatch(/^t1 \(resize\): assigned, held by a2, attempt 2\n/);
    expect(explained).toMatch(
      new RegExp(
        `\n${TIME}  attempt 2: agent failed; failover, medium priority\n  power_cut at ${TIME}: a1: hall A is dark\n  a2 takes t1 `,
      ),
    );
    expect(explained).not.toMatch(/(?:^| )-(?: |$)/m);
  });
});

describe("watch", () => {
  it("speaks in sentences", async () => {
    const { coordinator } = operated("watched");
    await register({ coordinator }, "a1");
    await coordinator.tasks.submit({ id: "t1", type: "resize" });
    const watching = cli.watch("--after", "0", "--cluster", "watched");
    let said = "";
    watching.stdout.on("data", (chunk: string) => {
      said += chunk;
    });
    await until(async () => said.includes("assigned"), "the assignment");
    watching.interrupt();
    expect(said).toMatch(new RegExp(`^${TIME} agent a1 registered in group default, incarnation \\d+$`, "m"));
    expect(said).toMatch(new RegExp(`^${TIME} task t1 \\(resize, priority 5\\) submitted$`, "m"));
    expect(said).toMatch(new RegExp(`^${TIME} task t1 assigned to a1, attempt 1$`, "m"));
  });
});

describe("locks and agents", () => {
  it("are found in every group, with the waiters in order", async () => {
    const here = operated("locked");
    const { coordinator, command } = here;
    await register({ coordinator }, "far", { group: "eu" });
    for (const id of ["a1", "a2"]) await register({ coordinator }, id);
    expect((await acquire(here, "locked", { agent_id: "a1" })).status).toBe(200);
    const waiting = acquire(here, "locked", { agent_id: "a2", wait_seconds: 30 });
    await until(async () => (await coordinator.locks.get("db/orders")).waiters.length > 0, "the waiter");
    const held = await printed(command("locks", "db/orders"));
    expect(row(held, "db/orders")).toMatch(new RegExp(`^db/orders +default +a1 +\\d+ +${TIME} +a2$`));
    expect(await command("locks", "db/users")).toMatchObject({
      code: 3,
      stderr: "no agent holds db/users\n",
    });

    expect(await printed(command("unregister", "a1"))).toBe("a1 unregistered\n");
    expect((await waiting).status).toBe(200);
    expect(await command("unregister", "a1")).toMatchObject({ code: 3 });
    expect(await printed(command("failures"))).toBe("nothing found\n");
  });
});

describe("readiness", () => {
  it("says what an empty cluster lacks, and exits with 7", async () => {
    const { command } = operated("empty");
    expect(await command("readiness")).toEqual({
      code: 7,
      stdout:
        "not ready:\n  no agent is active: start at least two agents for each task type\n0 free slots; 0 missing if the busiest agent failed\n",
      stderr: "the cluster is not ready\n",
    });
  });

  it("exits with 0 if every capability has two agents", async () => {
    const { coordinator, command } = operated("ready");
    for (const id of ["a1", "a2"]) await register({ coordinator }, id);
    expect(await printed(command("readiness"))).toMatch(
      /^ready: no single point of failure found\n20 free slots/,
    );
  });
});

describe("notifications", () => {
  it("show why a webhook did not arrive, and are sent again", async () => {
    const { coordinator, command } = operated("notified");
    expect(await printed(command("notifications", "--channel", "webhook"))).toBe(
      "nothing found\nwebhook is not in failure_notification.notification_types (log, system)\n",
    );
    expect(await printed(command("notifications", "test"))).toMatch(
      /^CHANNEL +DELIVERED +SECONDS +REASON\nlog +yes /,
    );
    await coordinator.config.patch({
      failure_notification: { notification_types: ["log", "webhook"], min_severity: "error" },
      webhook_notification: { url: "http://127.0.0.1:9/hook" },
    });
    expect(await printed(command("notifications", "--channel", "webhook"))).toBe(
      "nothing found\nless severe failures are not sent: failure_notification.min_severity is error\n",
    );
    const test = await command("notifications", "test");
    expect(test).toMatchObject({ code: 7, stderr: "not delivered by webhook\n" });
    expect(row(test.stdout, "webhook")).toMatch(
      /^webhook +no +[\d.]+ +webhook_notification\.url is refused: /,
    );
    const listed = await printed(command("notifications", "--channel", "webhook"));
    expect(listed).toMatch(/^ID +AT +CHANNEL +STATE +TRIES +SEVERITY +SUBJECT +REASON\n/);
    expect(listed).toMatch(/ +webhook +dead +1 +\S+ +.* webhook_notification\.url is refused: /);

    const again = await command("notifications", "redeliver", "--all");
    expect(again).toMatchObject({ code: 7, stderr: "1 of 1 not delivered\n" });
    expect(again.stdout).toMatch(/^\S+ webhook dead webhook_notification\.url is refused: /);
    expect(await printed(command("notifications", "redeliver", "--all", "--channel", "log"))).toBe(
      "no dead notifications found\n",
    );
    expect(await command("notifications", "redeliver")).toMatchObject({
      code: 2,
      stderr: "name an ID, or use --all\n",
    });
  });

  it("exit with 8 at a test while they are off or have no channel", async () => {
    const { coordinator, command } = operated("unnotified");
    await coordinator.config.patch({ failure_notification: { enabled: false } });
    expect(await command("notifications", "test")).toMatchObject({
      code: 8,
      stderr: "notifications are off: failure_notification.enabled is false\n",
    });
    await coordinator.config.patch({ failure_notification: { enabled: true, notification_types: [] } });
    expect(await command("notifications", "test")).toMatchObject({
      code: 8,
      stdout: "nothing found\n",
      stderr: "no channel is configured in failure_notification.notification_types\n",
    });
  });
});

describe("config", () => {
  it("shows what changed, from what to what", async () => {
    const { command } = operated("configured");
    expect(await printed(command("config", "changes"))).toBe("nothing found\n");
    await command(
      "config",
      "set",
      "failover_config.reliability_threshold=0.4",
      "lock_config.default_ttl_seconds=7",
    );
    const changes = await printed(command("config", "changes"));
    expect(changes).toMatch(/^AT +VERSION +BY +KEY +FROM +TO\n/);
    expect(changes).toMatch(
      new RegExp(`^${TIME} +2 +call +failover_config.reliability_threshold +[\\d.]+ +0.4$`, "m"),
    );
    expect(changes).toMatch(new RegExp(`^${TIME} +2 +call +lock_config.default_ttl_seconds +30 +7$`, "m"));
  });
});
