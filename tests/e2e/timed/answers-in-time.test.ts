/**
 * Answers that arrive in time: a wait ends when it should, and no caller waits while a receiver of notifications
 * hangs.
 */
import { describe, expect, it } from "vitest";
import { apiOfThisFile, type CheckedCluster, type JsonObject } from "../../support/checked-cluster.ts";
import { breakOff, endless, hang, stall, startHttpReceiver } from "../../support/http-receiver.ts";
import { holderAndWaiters, waitersOnce } from "../../support/lock-waiters.ts";
import { figures } from "../../support/measure.ts";
import { durationsOf, fail, messageOnce } from "../../support/notification-records.ts";
import {
  hangUpAfterGreeting,
  MAIL_PASSWORD,
  MAIL_USERNAME,
  silence,
  startRawReceiver,
} from "../../support/smtp-receiver.ts";

const api = apiOfThisFile({ env: { ALLOW_LOCAL_TARGETS: "true" } });

it("a call that waits for a lock is refused with the holder and the lock's end when its wait ends, and stops waiting", async () => {
  const cluster = api.cluster();
  const { first, held } = await holderAndWaiters(cluster);
  const fromMs = performance.now();
  const problem = (await first.tryAcquire("disk", { wait_seconds: 0.5 })).problem(409, "lock_held");
  const waitedMs = performance.now() - fromMs;
  expect(problem).toMatchObject({ holder: "a0", expires_at: held.expires_at });
  expect(waitedMs).toBeGreaterThanOrEqual(495);
  expect(waitedMs).toBeLessThan(1500);
  await waitersOnce(cluster, "disk", []);
});

describe("a webhook", () => {
  /** Limit for a request while a webhook hangs; a request that waited for it would take longer. */
  const PROMPT_MS = 500;

  async function clusterNotifying(url: string, webhook: JsonObject): Promise<CheckedCluster> {
    const cluster = api.cluster();
    await cluster.configure({
      failure_notification: { notification_types: ["webhook"], group_wait_seconds: 0.2 },
      webhook_notification: { url, ...webhook },
    });
    return cluster;
  }

  it("is cut off at its time-out, and delays no request until then", async () => {
    await using receiver = await startHttpReceiver(hang);
    const cluster = await clusterNotifying(receiver.url, {
      timeout_seconds: 1.5,
      retry_schedule_seconds: [],
    });
    const failure = await fail(cluster, "a1");
    const request = await receiver.next();

    const tookMs: number[] = [];
    const timed = async (call: () => Promise<unknown>) => {
      const startMs = performance.now();
      await call();
      tookMs.push(performance.now() - startMs);
    };
    for (let n = 0; n < 5; n++) {
      await timed(() => cluster.register(`b${n}`));
      await timed(() => cluster.submit());
      await timed(() => cluster.status());
      await timed(() => cluster.get("/incidents"));
    }
    const [meanwhile] = (await cluster.notifications({ failure_id: failure.id })).items;
    expect(meanwhile).toMatchObject({ state: "pending", tries: [] });
    const again = await cluster.post(`/notifications/${meanwhile?.id}/redeliver`);
    again.problem(409, "invalid_transition");
    const message = await messageOnce(cluster, failure, "dead");

    console.log(
      `${figures("requests while it hung", tookMs)}; ${figures("the try took", durationsOf(message))}`,
    );
    expect(Math.max(...tookMs)).toBeLessThan(PROMPT_MS);
    expect(message).toMatchObject({ try_count: 1, last_error: "no answer within 1.5 s" });
    expect(message.tries[0]?.duration_seconds).toBeGreaterThanOrEqual(1.4);
    expect(message.tries[0]?.duration_seconds).toBeLessThan(3);
    expect((await request.endedAtMs) - request.atMs).toBeLessThan(3000);
  });

  it.each([
    { how: "never ends", reply: endless, timeoutSeconds: 60 },
    { how: "stops in the middle", reply: stall, timeoutSeconds: 0.5 },
    { how: "breaks off", reply: breakOff, timeoutSeconds: 60 },
  ])("has arrived with the status 200, even if the answer $how", async ({ reply, timeoutSeconds }) => {
    await using receiver = await startHttpReceiver(reply);
    const cluster = await clusterNotifying(receiver.url, { timeout_seconds: timeoutSeconds });

    const message = await messageOnce(cluster, await fail(cluster, "a1"), "delivered");
    const request = await receiver.next();

    expect((await request.endedAtMs) - request.atMs).toBeLessThan(2000);
    console.log(figures("a try with such an answer took", durationsOf(message)));
    expect(message).toMatchObject({ try_count: 1, last_error: null });
    expect(receiver.requests).toHaveLength(1);
  });
});

describe("an email over SMTP", () => {
  /** Long enough for an email on a busy machine, short enough to wait for one that hangs. */
  const TIMEOUT_SECONDS = 3;
  /** Limit for a request while an email hangs. */
  const PROMPT_MS = 100;

  async function clusterMailing(port: number): Promise<CheckedCluster> {
    const cluster = api.cluster();
    await cluster.configure({
      failure_notification: { notification_types: ["email"], group_wait_seconds: 0 },
      email_notification: {
        recipients: ["oncall@example.org"],
        smtp_server: "localhost",
        smtp_port: port,
        smtp_security: "starttls",
        username: MAIL_USERNAME,
        password: MAIL_PASSWORD,
        timeout_seconds: TIMEOUT_SECONDS,
        retry_schedule_seconds: [],
      },
    });
    return cluster;
  }

  it.each([
    ["hangs up after its greeting", hangUpAfterGreeting],
    ["says nothing", silence],
  ])(
    "to a server that %s is an error in the delivery log within its time, and delays no request",
    async (_, conduct) => {
      await using receiver = await startRawReceiver(conduct);
      const cluster = await clusterMailing(receiver.port);
      await cluster.register("other");
      const failure = await fail(cluster, "a1");
      await receiver.connected();
      const took: number[] = [];
      let isOver = false;
      const dead = messageOnce(cluster, failure, "dead").finally(() => {
        isOver = true;
      });
      do {
        const sinceMs = performance.now();
        await cluster.status();
        await cluster.get("/agents/other");
        took.push(performance.now() - sinceMs);
      } while (!isOver && took.length < 200);
      const message = await dead;
      expect(message).toMatchObject({ channel: "email", try_count: 1 });
      expect(message.tries[0]?.error).toBeTruthy();
      expect(message.tries[0]?.duration_seconds).toBeLessThan(TIMEOUT_SECONDS + 1);
      took.sort((a, b) => a - b);
      // Two requests each; the median, since the machine may stall for other reasons.
      expect(took[took.length >> 1]).toBeLessThan(PROMPT_MS);
    },
  );
});
