/** Grouping of simultaneous failures into notifications, their frequency and their channels, by the real clock. */
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Failure } from "../../src/contract/failure.ts";
import { FailureAnswer } from "../../src/contract/failure.ts";
import { type Incident, IncidentPage } from "../../src/contract/incident.ts";
import {
  apiOfThisFile,
  type CheckedCluster,
  type JsonObject,
  type TestAgent,
} from "../support/checked-cluster.ts";
import { type ReceivedRequest, startHttpReceiver } from "../support/http-receiver.ts";
import { until } from "../support/until.ts";

const api = apiOfThisFile({ env: { ALLOW_LOCAL_TARGETS: "true" } });

/** Far longer than any of the tests. */
const NEVER_SECONDS = 600;

const SOON = { group_wait_seconds: 0.2, group_interval_seconds: 1, repeat_interval_seconds: NEVER_SECONDS };

async function report(cluster: CheckedCluster, agentId: string): Promise<Failure> {
  const reported = await cluster.post(`/agents/${agentId}/failures`, { failure_type: "reported" });
  return reported.as(201, FailureAnswer).failure;
}

const incidentOf = ({ body }: ReceivedRequest): Incident => JSON.parse(body).data.incident;

const incidents = async (cluster: CheckedCluster, query: Record<string, string> = {}) =>
  (await cluster.get("/incidents", query)).as(200, IncidentPage).items;

describe("two hundred agents that fail together", () => {
  const AGENTS = Array.from({ length: 200 }, (_, index) => `agent-${index}`);
  const AT_A_TIME = 10;

  /** In the end all agents have the same last heartbeat, however long this took. */
  async function registerAll(cluster: CheckedCluster, timing: JsonObject): Promise<void> {
    const registered: { id: string; incarnation: number }[] = [];
    for (let index = 0; index < AGENTS.length; index += AT_A_TIME) {
      const some = AGENTS.slice(index, index + AT_A_TIME);
      registered.push(
        ...(await Promise.all(some.map((id) => cluster.register(id, { group: "flock", ...timing })))),
      );
      const agents = registered.map(({ id, incarnation }) => ({ id, incarnation }));
      expect((await cluster.post("/groups/flock/heartbeats", { agents })).status).toBe(200);
    }
  }

  it("are one webhook message and one email, and one more of each under the same key when all are back", async () => {
    await using receiver = await startHttpReceiver();
    await using mailbox = await startHttpReceiver();
    const cluster = api.cluster();
    await cluster.configure({
      // Longer than declaring all of them failed takes.
      failure_notification: { ...SOON, notification_types: ["webhook", "email"], group_wait_seconds: 2 },
      webhook_notification: { url: receiver.url },
      email_notification: {
        provider: "resend",
        api_key: "a-key",
        api_base_url: `http://127.0.0.1:${mailbox.port}`,
        from: "failover@example.org",
        recipients: ["oncall@example.org"],
      },
    });
    await registerAll(cluster, { heartbeat_interval_seconds: 1, heartbeat_timeout_seconds: 5 });

    const firing = await receiver.nth(1);

    const mail = JSON.parse((await mailbox.nth(1)).body);
    expect(mail.subject).toContain("200 agents failed");
    expect(mail.text).toContain("150 more");
    expect(incidentOf(firing)).toMatchObject({
      status: "firing",
      failures: 200,
      agents_failed: 200,
      agents_recovered: 0,
      groups: { flock: 200 },
      entries_omitted: 150,
    });
    const { items: failures } = await cluster.failures({ limit: 500 });
    expect(failures).toHaveLength(200);
    const declaredMs = failures.map(({ at }) => Date.parse(at));
    expect(await incidents(cluster, { status: "firing" })).toHaveLength(1);

    await registerAll(cluster, {});
    const resolved = await receiver.nth(2);

    const lastMail = JSON.parse((await mailbox.nth(2)).body);
    expect(lastMail.subject).toContain("resolved");
    expect(mailbox.requests).toHaveLength(2);
    expect(incidentOf(resolved)).toMatchObject({
      status: "resolved",
      failures: 200,
      agents_failed: 200,
      agents_recovered: 200,
      dedup_key: incidentOf(firing).dedup_key,
    });
    expect(await incidents(cluster, { status: "firing" })).toEqual([]);
    expect((await cluster.notifications()).items).toHaveLength(4);
    console.log(
      `200 agents were declared within ${Math.max(...declaredMs) - Math.min(...declaredMs)} ms; they were told ` +
        `${firing.atMs - Math.max(...declaredMs)} ms after the last, in ${firing.body.length} characters`,
    );
  });
});

describe("an agent that flaps", () => {
  const FLAPS = 20;
  const INTERVAL_SECONDS = 2;

  it("is notified once, then at most once per interval, and every failure is covered", async () => {
    await using receiver = await startHttpReceiver();
    const cluster = api.cluster();
    await cluster.configure({
      failure_notification: {
        ...SOON,
        notification_types: ["webhook"],
        group_interval_seconds: INTERVAL_SECONDS,
      },
      webhook_notification: { url: receiver.url },
    });
    const failures: Failure[] = [];
    const startMs = performance.now();
    for (let flap = 0; flap < FLAPS; flap++) {
      await cluster.register("flapper");
      failures.push(await report(cluster, "flapper"));
      // Spread over the two intervals: the pace is the subject of this test.
      const nextMs = startMs + ((flap + 1) * 2000 * INTERVAL_SECONDS) / FLAPS;
      await delay(Math.max(0, nextMs - performance.now()));
    }
    await cluster.register("flapper");
    const flappedSeconds = (performance.now() - startMs) / 1000;
    // Two, unless the machine is too slow for the pace.
    const intervals = Math.ceil((flappedSeconds - SOON.group_wait_seconds) / INTERVAL_SECONDS);

    const last = await until(async () => {
      const request = receiver.requests.at(-1);
      return request !== undefined && incidentOf(request).status === "resolved" && request;
    }, "the flapper to be told as back");

    const shown = receiver.requests.map(incidentOf);
    console.log(
      `${FLAPS} flaps were told as ${shown.map(({ status, failures }) => `${status} with ${failures}`).join(", ")}`,
    );
    expect(shown.length).toBeLessThanOrEqual(1 + intervals);
    expect(new Set(shown.map(({ dedup_key }) => dedup_key)).size).toBe(1);
    expect(incidentOf(last)).toMatchObject({ failures: FLAPS, agents_failed: 1, agents_recovered: 1 });
    for (const { id } of failures) {
      const { items } = await cluster.notifications({ failure_id: id, state: "delivered" });
      expect(items.map(({ dedup_keys }) => dedup_keys)).toContainEqual([shown[0]?.dedup_key]);
    }
  });
});

describe("the channel system", () => {
  /** Unread messages about failures. */
  const toldTo = async (agent: TestAgent): Promise<JsonObject[]> =>
    (await agent.readMessages())
      .filter(({ message_type }) => message_type === "failure_notification")
      .map(({ content }) => content as JsonObject);

  const toldOnce = (agent: TestAgent, kind: string) =>
    until(
      async () => (await toldTo(agent)).find((content) => content.kind === kind),
      `${agent.id} to be told`,
    );

  async function twoGroups(systemGroups: "all" | "affected") {
    const cluster = api.cluster();
    await cluster.configure({
      failure_notification: { ...SOON, notification_types: ["system"], system_groups: systemGroups },
    });
    await cluster.register("victim", { group: "north" });
    const north = await cluster.register("neighbour", { group: "north" });
    const south = await cluster.register("stranger", { group: "south" });
    return { cluster, north, south, failure: await report(cluster, "victim") };
  }

  it("puts a message into the mailbox of every active agent of every group", async () => {
    const { cluster, north, south, failure } = await twoGroups("all");

    const contents = await Promise.all([north, south].map((agent) => toldOnce(agent, "incident")));

    const [message] = (await cluster.notifications({ failure_id: failure.id })).items;
    expect(message).toMatchObject({ channel: "system", state: "delivered" });
    const said = {
      notification_id: message?.id,
      status: "firing",
      severity: "error",
      incidents: [{ dedup_key: message?.dedup_keys[0], agents_failed: 1 }],
    };
    expect(contents).toMatchObject([said, said]);
  });

  it("reaches only the groups with a failure, if configured so", async () => {
    const { cluster, north, south } = await twoGroups("affected");
    await toldOnce(north, "incident");

    // A test reaches all agents, and comes after earlier notifications.
    await cluster.post("/notifications/test");
    await toldOnce(south, "test");

    expect((await toldTo(south)).map(({ kind }) => kind)).toEqual(["test"]);
    expect((await toldTo(north)).map(({ kind }) => kind)).toEqual(["incident", "test"]);
  });
});

describe("the list of incidents", () => {
  it("is filtered by status, newest first, page by page", async () => {
    const cluster = api.cluster();
    await cluster.configure({ failure_notification: { ...SOON, notification_types: ["log"] } });
    for (const id of ["a1", "a2"]) {
      await cluster.register(id);
      await cluster.toldOf((await report(cluster, id)).id, 1);
    }
    await cluster.register("a1");
    const agentsIn = (list: Incident[]) =>
      list.flatMap(({ entries }) => entries.map(({ agent_id }) => agent_id));

    await until(
      async () => (await incidents(cluster, { status: "resolved" })).length === 1,
      "the first to end",
    );

    expect(agentsIn(await incidents(cluster))).toEqual(["a2", "a1"]);
    expect(agentsIn(await incidents(cluster, { status: "firing" }))).toEqual(["a2"]);
    expect(await incidents(cluster, { status: "resolved" })).toMatchObject([
      { resolved_at: expect.any(String), entries: [{ agent_id: "a1", ended_by: "returned" }] },
    ]);
    const first = (await cluster.get("/incidents", { limit: 1 })).as(200, IncidentPage);
    const second = await cluster.get("/incidents", { limit: 1, cursor: first.next_cursor ?? "" });
    expect(agentsIn(first.items)).toEqual(["a2"]);
    expect(second.as(200, IncidentPage)).toMatchObject({
      items: [{ entries: [{ agent_id: "a1" }] }],
      next_cursor: null,
    });
    (await cluster.get("/incidents", { status: "over" })).problem(400, "invalid_request");
  });
});

describe("a channel's own threshold", () => {
  it("keeps lower severities from this channel alone", async () => {
    await using receiver = await startHttpReceiver();
    const cluster = api.cluster();
    await cluster.configure({
      failover_config: { critical_agents: ["vital"] },
      failure_notification: {
        ...SOON,
        notification_types: ["log", "webhook"],
        channel_min_severity: { webhook: "critical" },
      },
      webhook_notification: { url: receiver.url },
    });
    await cluster.register("plain");
    const error = await report(cluster, "plain");
    await cluster.toldOf(error.id, 1);
    await cluster.register("vital");
    const critical = await report(cluster, "vital");
    await cluster.toldOf(critical.id, 2);

    const channels = async ({ id }: Failure) =>
      (await cluster.notifications({ failure_id: id })).items.map(({ channel }) => channel).toSorted();
    expect(await channels(error)).toEqual(["log"]);
    expect(await channels(critical)).toEqual(["log", "webhook"]);
    expect(receiver.requests.map(incidentOf)).toMatchObject([
      { severity: "critical", entries: [{ agent_id: "vital" }] },
    ]);
  });
});
