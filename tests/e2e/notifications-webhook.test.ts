/** Webhooks of `npm start` to real receivers that accept requests, or do not. */
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Webhook } from "standardwebhooks";
import { afterAll, describe, expect, it } from "vitest";
import type { Failure } from "../../src/contract/failure.ts";
import { IncidentPage } from "../../src/contract/incident.ts";
import {
  type Notification,
  NotificationAnswer,
  NotificationTestAnswer,
} from "../../src/contract/notification.ts";
import { apiOfThisFile, type CheckedCluster, type JsonObject } from "../support/checked-cluster.ts";
import { reference } from "../support/configurations.ts";
import {
  answer,
  type HttpReceiver,
  hang,
  hangUp,
  type ReceivedRequest,
  redirectTo,
  startHttpReceiver,
} from "../support/http-receiver.ts";
import { figures } from "../support/measure.ts";
import { durationsOf, fail, messageOnce } from "../support/notification-records.ts";
import { PROJECT_ROOT } from "../support/server.ts";
import { until } from "../support/until.ts";

const keyOf = (byte: number) => `whsec_${Buffer.alloc(32, byte).toString("base64")}`;
const KEY = keyOf(7);
const OLD_KEY = keyOf(9);

/** A project whose `.dev.vars` name the secrets: the shipped configuration names none. */
const root = mkdtempSync(join(tmpdir(), "failover-webhook-"));
for (const part of ["scripts", "src", "configs", "package.json", "wrangler.toml"]) {
  cpSync(join(PROJECT_ROOT, part), join(root, part), { recursive: true });
}
symlinkSync(join(PROJECT_ROOT, "node_modules"), join(root, "node_modules"));
writeFileSync(join(root, ".dev.vars"), `WEBHOOK_SECRET=${KEY}\nWEBHOOK_SECRET_BEFORE=${OLD_KEY}\n`);
afterAll(() => rmSync(root, { recursive: true, force: true }));

const api = apiOfThisFile({ root, env: { ALLOW_LOCAL_TARGETS: "true" } });

const SOON = {
  notification_types: ["webhook"],
  group_wait_seconds: 0.2,
  group_interval_seconds: 1,
  repeat_interval_seconds: 60,
};

/** A cluster that notifies only this URL, without a group wait. */
async function clusterNotifying(
  url: string,
  webhook: JsonObject = {},
  more: JsonObject = {},
  cluster = api.cluster(),
): Promise<CheckedCluster> {
  await cluster.configure({
    failure_notification: { ...SOON, ...more },
    webhook_notification: {
      url,
      secret: reference("WEBHOOK_SECRET"),
      retry_schedule_seconds: [0.2, 0.2],
      timeout_seconds: 1,
      ...webhook,
    },
  });
  return cluster;
}

const redeliver = async (cluster: CheckedCluster, { id }: Notification) =>
  (await cluster.post(`/notifications/${id}/redeliver`)).as(200, NotificationAnswer).notification;

const verified = (key: string, { body, headers }: ReceivedRequest) =>
  new Webhook(key).verify(body, headers as Record<string, string>);

const idOf = ({ headers }: ReceivedRequest) => headers["webhook-id"];
const bodyOf = ({ body }: ReceivedRequest) => JSON.parse(body);

describe("a webhook", () => {
  it("is retried on the schedule under one id, each attempt signed anew, and the log has every attempt", async () => {
    await using receiver = await startHttpReceiver(answer(500), answer(500), answer(200));
    // More than a second, the smallest unit of a timestamp.
    const cluster = await clusterNotifying(receiver.url, { retry_schedule_seconds: [1.1, 0.2] });
    const failure = await fail(cluster, "a1");

    const requests = [await receiver.next(), await receiver.next(), await receiver.next()];
    const message = await messageOnce(cluster, failure, "delivered");

    expect(requests.map(({ method, url }) => `${method} ${url}`)).toEqual(Array(3).fill("POST /hook"));
    expect(new Set(requests.map(idOf))).toEqual(new Set([message.id]));
    expect(new Set(requests.map(({ body }) => body)).size).toBe(1);
    for (const request of requests) {
      expect(verified(KEY, request)).toMatchObject({
        type: "failover.incident.firing",
        data: { incident: { entries: [{ agent_id: "a1", failure_id: failure.id }] } },
      });
      expect(() => verified(OLD_KEY, request)).toThrow();
      expect(() => verified(KEY, { ...request, body: `${request.body} ` })).toThrow();
    }
    const [first = 0, second = 0, third = 0] = requests.map(({ headers }) =>
      Number(headers["webhook-timestamp"]),
    );
    expect(second).toBeGreaterThan(first);
    expect(third).toBeGreaterThanOrEqual(second);

    expect(message).toMatchObject({ try_count: 3, next_try_at: null, last_error: null });
    expect(message.tries).toMatchObject([
      { outcome: "failed", error: "answered 500", next_try_at: expect.any(String) },
      { outcome: "failed", error: "answered 500", next_try_at: expect.any(String) },
      { outcome: "delivered", error: null, next_try_at: null },
    ]);
    for (const [index, { at, next_try_at }] of message.tries.entries()) {
      const next = message.tries[index + 1];
      if (next === undefined || next_try_at === null) continue;
      expect(Date.parse(next_try_at)).toBeGreaterThan(Date.parse(at));
      expect(Date.parse(next.at)).toBeGreaterThanOrEqual(Date.parse(next_try_at));
    }
    const gaps = requests.slice(1).map(({ atMs }, index) => atMs - (requests[index]?.atMs ?? 0));
    console.log(`${figures("tries took", durationsOf(message))}; they came ${gaps.join(" and ")} ms apart`);
    expect(gaps[0]).toBeGreaterThanOrEqual(1100);
    expect(gaps[1]).toBeGreaterThanOrEqual(200);
  });

  it("carries a signature by the new key and one by the old during a key change", async () => {
    await using receiver = await startHttpReceiver();
    const cluster = await clusterNotifying(receiver.url, {
      previous_secret: reference("WEBHOOK_SECRET_BEFORE"),
    });
    await fail(cluster, "a1");

    const request = await receiver.next();

    expect(verified(KEY, request)).toEqual(verified(OLD_KEY, request));
  });

  it("uses a key that is written out, and reports a named one that is not set", async () => {
    await using receiver = await startHttpReceiver();
    const literal = await clusterNotifying(receiver.url, { secret: keyOf(11) });
    const unset = await clusterNotifying(receiver.url, { secret: reference("NOBODY_SET_THIS") });
    const failure = await fail(unset, "a1");
    await fail(literal, "a1");

    verified(keyOf(11), await receiver.next());
    const message = await messageOnce(unset, failure, "dead");

    expect(message).toMatchObject({ try_count: 3, last_error: expect.stringContaining("NOBODY_SET_THIS") });
    expect(receiver.requests).toHaveLength(1);
  });

  it("has the configured method and headers, and no secret of it is shown anywhere", async () => {
    await using receiver = await startHttpReceiver(answer(500), answer(200));
    const token = "token-that-nobody-else-sees";
    const headers = { Authorization: `Bearer ${token}`, "Webhook-Id": "forged" };
    const cluster = await clusterNotifying(receiver.url, { method: "PUT", headers });
    const failure = await fail(cluster, "a1");

    const request = await receiver.next();
    const message = await messageOnce(cluster, failure, "delivered");

    expect(request).toMatchObject({ method: "PUT", headers: { authorization: `Bearer ${token}` } });
    expect(idOf(request)).toBe(message.id);
    const shown = JSON.stringify([
      await cluster.snapshot(),
      await cluster.eventsSoFar(),
      api.server.output(),
    ]);
    for (const hidden of [token, KEY, KEY.slice("whsec_".length)]) expect(shown).not.toContain(hidden);
  });

  it("follows no redirect: that is a failure, and the other URL gets no request", async () => {
    await using other = await startHttpReceiver();
    await using receiver = await startHttpReceiver(redirectTo(other.url));
    const cluster = await clusterNotifying(receiver.url, { retry_schedule_seconds: [] });

    const message = await messageOnce(cluster, await fail(cluster, "a1"), "dead");

    expect(message.last_error).toBe("answered 307: redirects are not followed; set the final address");
    expect(receiver.requests).toHaveLength(1);
    expect(other.connections).toBe(0);
  });

  it("fails when the receiver closes the connection without an answer, or is down", async () => {
    await using rude = await startHttpReceiver(hangUp);
    const gone = await startHttpReceiver();
    const { url } = gone;
    await gone[Symbol.asyncDispose]();
    const errorOf = async (address: string) => {
      const cluster = await clusterNotifying(address, { retry_schedule_seconds: [] });
      return (await messageOnce(cluster, await fail(cluster, "a1"), "dead")).last_error;
    };

    const lost = "no connection (refused, or it broke off)";
    expect(await Promise.all([errorOf(rude.url), errorOf(url)])).toEqual([lost, lost]);
    expect(rude.requests).toHaveLength(1);
    const untrusted = await errorOf(`https://127.0.0.1:${rude.port}/hook`);
    expect(untrusted).toMatch(/untrusted certificate.*log says which at \w+\)$/);
    expect(api.server.output()).toContain(/at (\w+)\)$/.exec(untrusted ?? "")?.[1]);
  });

  it("waits as long as the receiver asks if that is longer than the schedule", async () => {
    await using receiver = await startHttpReceiver(answer(503, { "Retry-After": "2" }), answer(200));
    const cluster = await clusterNotifying(receiver.url);
    const failure = await fail(cluster, "a1");

    const [first, second] = [await receiver.next(), await receiver.next()];

    console.log(`asked to wait 2000 ms, it waited ${second.atMs - first.atMs} ms`);
    expect(second.atMs - first.atMs).toBeGreaterThanOrEqual(2000);
    expect((await messageOnce(cluster, failure, "delivered")).try_count).toBe(2);
  });

  it("is dead after its last attempt, and can be redelivered under the same id", async () => {
    await using receiver = await startHttpReceiver(answer(500));
    const cluster = await clusterNotifying(receiver.url);
    await using events = await cluster.events();
    const failure = await fail(cluster, "a1");
    const dead = await messageOnce(cluster, failure, "dead");
    expect(dead).toMatchObject({ try_count: 3, next_try_at: null, last_error: "answered 500" });
    expect(dead.tries.map(({ next_try_at }) => next_try_at === null)).toEqual([false, false, true]);
    const { data } = await events.first(
      ({ type, subject }) => type === "notification.dead" && subject === dead.id,
      "that it is dead",
    );
    expect(data).toMatchObject({ channel: "webhook", error: "answered 500", dedup_keys: dead.dedup_keys });

    receiver.reply(answer(200));
    const again = await redeliver(cluster, dead);

    expect(again).toMatchObject({ id: dead.id, state: "delivered", try_count: 1, last_error: null });
    expect(again.tries.map(({ outcome }) => outcome)).toEqual(["failed", "failed", "failed", "delivered"]);
    expect(receiver.requests.map(idOf)).toEqual(Array(4).fill(dead.id));
    await events.first(
      ({ type, subject }) => type === "notification.delivered" && subject === dead.id,
      "that it arrived",
    );
    (await cluster.post("/notifications/nowhere/redeliver")).problem(404, "not_found");
  });
});

describe("a receiver that answers 410", () => {
  it("gets no more requests until a redelivery reaches it", async () => {
    await using receiver = await startHttpReceiver(answer(410));
    const cluster = await clusterNotifying(receiver.url);
    await using events = await cluster.events();
    const gone = await messageOnce(cluster, await fail(cluster, "a1"), "dead");
    expect(gone).toMatchObject({ try_count: 1, last_error: expect.stringContaining("410") });
    const { data } = await events.first(({ type }) => type === "notification.disabled", "the switching off");
    expect(data).toMatchObject({ channel: "webhook" });

    const unsent = await messageOnce(cluster, await fail(cluster, "a2"), "dead");
    expect(unsent.last_error).toContain("410 Gone");
    expect(receiver.requests).toHaveLength(1);

    receiver.reply(answer(200));
    expect(await redeliver(cluster, unsent)).toMatchObject({ state: "delivered" });
    expect(idOf(await receiver.nth(2))).toBe(unsent.id);

    await messageOnce(cluster, await fail(cluster, "a3"), "delivered");
    expect(receiver.requests).toHaveLength(3);
  });

  it("is forgotten when the URL changes", async () => {
    await using gone = await startHttpReceiver(answer(410));
    await using other = await startHttpReceiver();
    const cluster = await clusterNotifying(gone.url);
    await messageOnce(cluster, await fail(cluster, "a1"), "dead");

    await cluster.configure({ webhook_notification: { url: other.url } });
    await messageOnce(cluster, await fail(cluster, "a2"), "delivered");

    expect(gone.requests).toHaveLength(1);
    expect(other.requests).toHaveLength(1);
  });
});

describe("a newer notification of the same incident", () => {
  /** Both notifications of one failure, the older first, once the newer one has arrived. */
  const bothOnce = (cluster: CheckedCluster, { id }: Failure) =>
    until(async () => {
      const { items } = await cluster.notifications({ failure_id: id });
      return items.length === 2 && items[0]?.state === "delivered" && items.toReversed();
    }, "the newer message to arrive");

  it("supersedes one that waits for its retry", async () => {
    await using receiver = await startHttpReceiver(answer(500), answer(200));
    const cluster = await clusterNotifying(receiver.url, { retry_schedule_seconds: [60] });
    const failure = await fail(cluster, "a1");
    await messageOnce(cluster, failure, "pending", 1);
    await cluster.register("a1");

    const [older, newer] = await bothOnce(cluster, failure);

    expect(older).toMatchObject({ status: "firing", state: "superseded", try_count: 1, next_try_at: null });
    expect(newer).toMatchObject({ status: "resolved", dedup_keys: older?.dedup_keys });
    expect(receiver.requests.map(idOf)).toEqual([older?.id, newer?.id]);
  });

  it("waits for one that is being sent, which is not retried afterwards", async () => {
    await using receiver = await startHttpReceiver(hang, answer(200));
    const cluster = await clusterNotifying(receiver.url, {
      timeout_seconds: 2,
      retry_schedule_seconds: [0.3],
    });
    const failure = await fail(cluster, "a1");
    await receiver.next();
    await cluster.register("a1");

    await receiver.next();
    const [older, newer] = await bothOnce(cluster, failure);

    // By the coordinator's clock. The receiver may see the end of the first request after the second one.
    const [hanging, next] = [older, newer].map((message) => message?.tries[0]);
    expect(hanging?.duration_seconds).toBeGreaterThanOrEqual(2);
    const endedAtMs = Date.parse(hanging?.at ?? "") + 1000 * (hanging?.duration_seconds ?? 0);
    expect(Date.parse(next?.at ?? "")).toBeGreaterThanOrEqual(endedAtMs);
    expect(older).toMatchObject({ status: "firing", state: "superseded", try_count: 1, next_try_at: null });
    expect(newer).toMatchObject({ status: "resolved" });
    expect(receiver.requests.map(idOf)).toEqual([older?.id, newer?.id]);
  });
});

describe("a failed digest", () => {
  /** Failures further apart than this are incidents of their own. */
  const GROUP_WAIT_SECONDS = 0.1;

  it("is not retried once a part of it is notified anew: the other parts are notified separately", async () => {
    await using receiver = await startHttpReceiver(answer(200), answer(500), answer(200));
    const cluster = await clusterNotifying(
      receiver.url,
      { retry_schedule_seconds: [60] },
      { group_wait_seconds: GROUP_WAIT_SECONDS, group_interval_seconds: 1.5, max_messages_per_interval: 1 },
    );
    // The first failure uses the limit of this interval. The others are apart, so that each is an incident of its
    // own.
    await messageOnce(cluster, await fail(cluster, "a1"), "delivered");
    const back = await fail(cluster, "a2");
    const opened = await until(async () => {
      const { items } = (await cluster.get("/incidents")).as(200, IncidentPage);
      return items.find(({ entries }) => entries.some(({ agent_id }) => agent_id === "a2"));
    }, "its incident");
    // No request or record marks the end of an incident's group wait.
    await delay(Math.max(0, Date.parse(opened.opened_at) + 2000 * GROUP_WAIT_SECONDS - Date.now()));
    const stillDown = await fail(cluster, "a3");
    const digest = await messageOnce(cluster, back, "pending", 1);
    expect(digest).toMatchObject({ kind: "digest", dedup_keys: [expect.any(String), expect.any(String)] });
    await cluster.register("a2");

    const [resolved, firing] = await Promise.all([
      until(async () => {
        const message = await messageOnce(cluster, back, "delivered");
        return message.status === "resolved" && message;
      }, "the end of one of them"),
      messageOnce(cluster, stillDown, "delivered"),
    ]);

    expect(resolved).toMatchObject({ kind: "incident", dedup_keys: [digest.dedup_keys[0]] });
    expect(firing).toMatchObject({ kind: "incident", status: "firing", dedup_keys: [digest.dedup_keys[1]] });
    const { items } = await cluster.notifications({ state: "superseded" });
    expect(items).toMatchObject([{ id: digest.id, try_count: 1, next_try_at: null }]);
    expect(receiver.requests.map(idOf).filter((id) => id === digest.id)).toHaveLength(1);
  });
});

describe("a test notification", () => {
  it("goes through every requested channel, and reports each outcome", async () => {
    await using receiver = await startHttpReceiver();
    const cluster = await clusterNotifying(
      receiver.url,
      {},
      { notification_types: ["log", "email", "webhook", "system"] },
    );
    const agent = await cluster.register("a1");
    // The configuration is in force once the notifier has received it.
    await messageOnce(cluster, await fail(cluster, "a2"), "delivered").then(() => receiver.next());

    const { results } = (await cluster.post("/notifications/test")).as(200, NotificationTestAnswer);

    const of = (wanted: string) => results.find(({ channel }) => channel === wanted);
    expect(results).toHaveLength(4);
    for (const channel of ["log", "webhook", "system"]) {
      expect(of(channel)).toMatchObject({ delivered: true, error: null });
    }
    expect(of("email")).toMatchObject({
      delivered: false,
      error: expect.stringContaining("email_notification.recipients"),
    });
    const request = await receiver.next();
    expect(idOf(request)).toBe(of("webhook")?.notification_id);
    expect(verified(KEY, request)).toMatchObject({ type: "failover.test", data: { kind: "test" } });
    const told = await until(async () => {
      const messages = await agent.readMessages();
      return messages.find(({ content }) => (content as JsonObject).kind === "test");
    }, "the message for agents");
    expect(told.content).toMatchObject({ notification_id: of("system")?.notification_id });
  });

  it("fails at once with the reason, and is not retried", async () => {
    await using receiver = await startHttpReceiver(answer(200), answer(500));
    const cluster = await clusterNotifying(receiver.url);
    await messageOnce(cluster, await fail(cluster, "a1"), "delivered");

    const { results } = (await cluster.post("/notifications/test")).as(200, NotificationTestAnswer);

    expect(results).toMatchObject([{ channel: "webhook", delivered: false, error: "answered 500" }]);
    const [{ id } = { id: "" }] = (await cluster.notifications({ state: "dead" })).items;
    expect(results[0]?.notification_id).toBe(id);
  });
});

describe("the presets", () => {
  it("reach Slack as blocks with a text", async () => {
    await using receiver = await startHttpReceiver();
    const cluster = await clusterNotifying(receiver.url, { preset: "slack" });
    await fail(cluster, "a1");

    expect(bodyOf(await receiver.next())).toMatchObject({
      text: expect.stringContaining("a1"),
      blocks: expect.arrayContaining([
        { type: "header", text: expect.objectContaining({ type: "plain_text" }) },
      ]),
    });
  });

  it("reach Discord as one embed that mentions no person", async () => {
    await using receiver = await startHttpReceiver(answer(204));
    const cluster = await clusterNotifying(receiver.url, { preset: "discord" });
    const failure = await fail(cluster, "a1");

    expect(bodyOf(await receiver.next())).toMatchObject({
      embeds: [
        { title: expect.stringContaining("a1"), footer: { text: expect.stringContaining(cluster.id) } },
      ],
      allowed_mentions: { parse: [] },
    });
    await messageOnce(cluster, failure, "delivered");
  });

  it("reach PagerDuty as an event that triggers, and one with the same key that resolves", async () => {
    await using receiver = await startHttpReceiver(answer(202));
    const cluster = await clusterNotifying(receiver.url, {
      preset: "pagerduty",
      routing_key: "routing-key-0123",
    });
    await fail(cluster, "a1");
    const trigger = bodyOf(await receiver.next());
    await cluster.register("a1");
    const resolve = bodyOf(await receiver.next());

    expect(trigger).toMatchObject({
      routing_key: "routing-key-0123",
      event_action: "trigger",
      dedup_key: expect.stringContaining(`${cluster.id}/`),
      payload: { source: cluster.id, severity: "error", component: "a1" },
    });
    expect(resolve).toMatchObject({ event_action: "resolve", dedup_key: trigger.dedup_key });
  });
});

describe("the URL of a webhook", () => {
  /** The outcome of a notification to each URL: refused for good, with this reason. */
  async function expectRefused(
    addresses: Record<string, string>,
    clusterOf: () => CheckedCluster,
    receiver: HttpReceiver,
  ): Promise<void> {
    const outcomes = Object.keys(addresses).map(async (url) => {
      const cluster = await clusterNotifying(url, {}, {}, clusterOf());
      const { try_count, last_error } = await messageOnce(cluster, await fail(cluster, "a1"), "dead");
      expect(try_count, url).toBe(1);
      return [url, last_error];
    });
    const reasons = Object.entries(addresses).map(([url, reason]) => [
      url,
      `webhook_notification.url is refused: ${reason}`,
    ]);
    expect(await Promise.all(outcomes)).toEqual(reasons);
    expect(receiver.connections).toBe(0);
  }

  it("may not be this server itself", async () => {
    await using receiver = await startHttpReceiver();
    const { url, port } = api.server;
    const reason = "it is this server's own address";
    const own = {
      [`${url}/v1/clusters/other/tasks`]: reason,
      [`http://localhost:${port}/`]: reason,
      [`http://[::1]:${port}/`]: reason,
    };
    await expectRefused(own, () => api.cluster(), receiver);
  });

  describe("without ALLOW_LOCAL_TARGETS the URL of a webhook", () => {
    const closed = apiOfThisFile({ root, env: { PUBLIC_URL: "https://failover.example.org" } });

    it("must be public and https: no request goes to any other", async () => {
      await using receiver = await startHttpReceiver();
      const { port, url } = receiver;
      const ip = "its host is an IP address, not a name (ALLOW_LOCAL_TARGETS=true allows it)";
      const local = "its host is a local name (ALLOW_LOCAL_TARGETS=true allows it)";
      const addresses = {
        [url]: "it must begin with https:// (ALLOW_LOCAL_TARGETS=true allows it)",
        [`https://127.0.0.1:${port}/`]: ip,
        [`https://2130706433:${port}/`]: ip,
        [`https://[::ffff:127.0.0.1]:${port}/`]: ip,
        "https://192.168.1.1/": ip,
        "https://1.1.1.1/": ip,
        [`https://localhost:${port}/`]: local,
        [`https://localhost.:${port}/`]: local,
        [`https://hooks.localhost:${port}/`]: local,
        "https://printer.local/": local,
        "https://intranet/": local,
        "https://failover.example.org/v1/clusters/other/tasks": "it is this server's own address",
        "https://FAILOVER.example.org.:8443/": "it is this server's own address",
      };
      await expectRefused(addresses, () => closed.cluster(), receiver);
    });
  });
});

// Last: these tests end the server that all others use.
describe("a crash", () => {
  /** Kills the server, and waits until another runs. */
  async function crash(receiver: HttpReceiver): Promise<{ atMs: number; requestsBefore: number }> {
    await api.server.kill();
    // The next server may send before it is ready.
    const before = { atMs: Date.now(), requestsBefore: receiver.requests.length };
    await api.server.restart();
    return before;
  }

  async function expectToldAfterCrash(
    cluster: CheckedCluster,
    failure: Failure,
    receiver: HttpReceiver,
    requestsBefore: number,
  ): Promise<void> {
    const crashed = await crash(receiver);
    expect(crashed.requestsBefore, "the server was not killed in time").toBe(requestsBefore);
    const request = await receiver.nth(requestsBefore + 1);
    console.log(`${request.atMs - crashed.atMs} ms after the server was killed the notification arrived`);
    expect(request.atMs - crashed.atMs).toBeLessThan(15_000);
    const message = await messageOnce(cluster, failure, "delivered");
    expect(receiver.requests.map(idOf)).toEqual(Array(requestsBefore + 1).fill(message.id));
    verified(KEY, request);
  }

  it("in the middle of an attempt repeats it under the same id", async () => {
    await using receiver = await startHttpReceiver(hang, answer(200));
    const cluster = await clusterNotifying(receiver.url, { timeout_seconds: 60 });
    const failure = await fail(cluster, "a1");
    await receiver.next();

    await expectToldAfterCrash(cluster, failure, receiver, 1);

    expect(receiver.requests[0]?.body).toBe(receiver.requests[1]?.body);
  });

  it("right after a failure was recorded, before it was notified, loses nothing", async () => {
    await using receiver = await startHttpReceiver();
    const cluster = await clusterNotifying(receiver.url, {}, { group_wait_seconds: 1 });
    const failure = await fail(cluster, "a1");

    await expectToldAfterCrash(cluster, failure, receiver, 0);
  });

  it("between a failed attempt and its retry loses nothing", async () => {
    await using receiver = await startHttpReceiver(answer(500), answer(200));
    const cluster = await clusterNotifying(receiver.url, { retry_schedule_seconds: [1] });
    const failure = await fail(cluster, "a1");
    await messageOnce(cluster, failure, "pending", 1);

    await expectToldAfterCrash(cluster, failure, receiver, 1);
  });
});
