/** The questions of docs/operations.md: each command there answers its question in a cluster with some trouble. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { DistributedCoordinator } from "../../client/src/index.ts";
import { cliOfThisFile } from "../support/cli.ts";
import { PROJECT_ROOT } from "../support/server.ts";
import { until } from "../support/until.ts";

const cli = cliOfThisFile();

const text = readFileSync(join(PROJECT_ROOT, "docs", "operations.md"), "utf8");
/** Each question of the table with its command, without the name of the program. */
const QUESTIONS = [...text.matchAll(/^\| ([^|]+\?) \| `failover-coordinator ([^`]+)`/gm)].map(
  ([, question = "", words = ""]) => ({ question, words: words.split(" ") }),
);

/** What the answer to each question must contain, and the exit code. */
const ANSWERS: Readonly<Record<string, { code?: number; says: readonly (string | RegExp)[] }>> = {
  "What failed in the last hour?": { says: [/error +power_cut +agent1 .* hall A is dark$/m] },
  "Why did this task go to that agent?": {
    says: [/power_cut at .*: agent1: hall A is dark\n {2}agent2 takes task1 /, /CANDIDATE +SCORE/],
  },
  "What happens if this agent goes?": {
    code: 7,
    says: [/^engraving +agent1 +\(no agent\)/m, /^db\/orders .* agent2$/m],
  },
  "What is stuck, and why?": { says: [/^impossible .* no live agent can do weld: /m] },
  "Who holds this lock, and who waits for it?": { says: [/^db\/orders +default +agent1 .* agent2$/m] },
  "Why did my webhook not arrive?": { says: [/ webhook +dead .* webhook_notification\.url is refused: /] },
  "Which agents fail repeatedly?": { says: [/^shaky +3 .* power_cut +shaky: /m] },
  "What is about to run out of backups?": { code: 7, says: ["only agent1 has the capability engrave"] },
  "What changed in the configuration?": {
    says: [/ webhook_notification\.url +/, / failure_notification\.group_wait_seconds +\d+ +0$/m],
  },
  "Is the cluster ready for a failure?": { code: 7, says: [/^not ready:\n {2}no active agent can do weld/] },
};

/** Longer than the test takes on any machine. */
const LASTING = { heartbeat_interval_seconds: 600, heartbeat_timeout_seconds: 3600 };

beforeAll(async () => {
  const coordinator = new DistributedCoordinator(cli.access);
  await coordinator.config.patch({
    failure_notification: { notification_types: ["webhook"], group_wait_seconds: 0 },
    webhook_notification: { url: "http://127.0.0.1:9/hook" },
  });
  const register = (id: string, capabilities: string[]) =>
    coordinator.registerAgent({ id, type: "worker", capabilities, ...LASTING });
  const fail = (id: string, message: string) =>
    coordinator.agents.reportFailure(id, { failure_type: "power_cut", message });
  await register("agent1", ["resize"]);
  await coordinator.tasks.submit({ id: "task1", type: "resize" });
  await register("agent2", ["resize"]);
  await fail("agent1", "hall A is dark");
  await register("agent1", ["resize", "engrave"]);
  await coordinator.tasks.submit({ id: "engraving", type: "engrave" });
  await coordinator.tasks.submit({ id: "impossible", type: "weld" });
  for (let times = 1; times <= 3; times++) {
    await register("shaky", ["resize"]);
    await fail("shaky", `the ${times}. time`);
  }
  const acquire = (body: object) => {
    const path = `/v1/clusters/${cli.access.cluster}/groups/default/locks/db%2Forders/acquire`;
    return fetch(cli.server.url + path, {
      method: "POST",
      headers: { Authorization: `Bearer ${cli.server.adminToken}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  };
  expect((await acquire({ agent_id: "agent1", ttl_seconds: 3600 })).status).toBe(200);
  // Nobody reads the answer: the agent stays in the queue for half a minute.
  void acquire({ agent_id: "agent2", wait_seconds: 30 }).catch(() => {});
  await until(async () => (await coordinator.locks.get("db/orders")).waiters.length > 0, "the waiter");
  await until(
    async () => (await coordinator.notifications.list({ state: "dead" })).items.length > 0,
    "the dead notification",
  );
});

it("are all answered here", () => {
  expect(QUESTIONS.map(({ question }) => question)).toEqual(Object.keys(ANSWERS));
  expect(QUESTIONS).toHaveLength(10);
});

it("are each answered by one command", async () => {
  // Beside each other, since a waiter waits for half a minute only.
  const answered = await Promise.all(QUESTIONS.map(async ({ words }) => cli.run(...words)));
  for (const [at, { code, stdout, stderr }] of answered.entries()) {
    const { question = "" } = QUESTIONS[at] ?? {};
    expect(code, `${question}\n${stdout}${stderr}`).toBe(ANSWERS[question]?.code ?? 0);
    for (const said of ANSWERS[question]?.says ?? []) expect(stdout, question).toMatch(said);
  }
});
