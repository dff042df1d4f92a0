/** The channel `webhook`: its requests, its signatures, and its handling of each answer. */
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import type { WebhookNotificationConfig } from "../../../../src/contract/config/notification.ts";
import { defaultConfig } from "../../../../src/contract/config.ts";
import type { ChannelTools } from "../../../../src/notifications/channel.ts";
import { retryAfterMs } from "../../../../src/notifications/retry-after.ts";
import type { HttpOutcome, HttpRequest } from "../../../../src/notifications/transports.ts";
import { signedHeaders } from "../../../../src/notifications/webhook/signature.ts";
import { webhookChannel } from "../../../../src/notifications/webhook/webhook.ts";
import { incidentWith, noticeWith, resolvedIncident } from "../../../support/notices.ts";

// The independent verifier reads the real clock.
const NOW_MS = Date.now();
const URL_WITH_SECRET = "https://hooks.example/services/T0/B0/hidden-in-the-path?token=hidden-too";

const keyOf = (bytes: Uint8Array) => `whsec_${Buffer.from(bytes).toString("base64")}`;
const KEY = keyOf(new Uint8Array(32).fill(7));
const OLD_KEY = keyOf(new Uint8Array(24).fill(9));

const answered = (status: number, retryAfter: string | null = null): HttpOutcome => ({
  isAnswered: true,
  status,
  retryAfter,
  bodyStart: "what the receiver says, hidden-in-the-answer",
});

/** An environment that gives prepared answers and keeps the requests. */
function world(
  webhook: Partial<WebhookNotificationConfig>,
  answers: readonly HttpOutcome[] = [],
  more: Partial<ChannelTools> = {},
) {
  const sent: { request: HttpRequest; timeoutMs: number }[] = [];
  const base = defaultConfig();
  const tools: ChannelTools = {
    config: { ...base, webhook_notification: { ...base.webhook_notification, ...webhook } },
    transports: {
      http: async (request, timeoutMs) => {
        sent.push({ request, timeoutMs });
        return answers[sent.length - 1] ?? answered(200);
      },
      smtp: async () => ({ isAccepted: false, reason: "no mail here", isPermanent: true }),
      cloudflareMail: null,
    },
    log: { line: () => {} },
    broadcast: () => {},
    nowMs: NOW_MS,
    allowLocalTargets: false,
    publicUrl: "https://coordinator.example",
    ...more,
  };
  return {
    sent,
    deliver: (notice = noticeWith()) => webhookChannel.deliver(notice, tools),
  };
}

const verified = (key: string, { body, headers }: HttpRequest) =>
  new Webhook(key).verify(body, { ...headers });

describe("a webhook's request", () => {
  it("is signed so that an independent verifier of Standard Webhooks accepts it", async () => {
    const { sent, deliver } = world({ url: URL_WITH_SECRET, secret: KEY });
    expect(await deliver()).toEqual({ isDelivered: true, note: null });
    const request = sent[0]?.request;
    if (request === undefined) throw new Error("nothing was sent");
    expect(verified(KEY, request)).toMatchObject({ specversion: "1.0", id: "notice-1" });
    expect(() => verified(OLD_KEY, request)).toThrow();
    expect(() => verified(KEY, { ...request, body: `${request.body} ` })).toThrow();
  });

  it("carries both signatures during a key change", async () => {
    const { sent, deliver } = world({ url: URL_WITH_SECRET, secret: KEY, previous_secret: OLD_KEY });
    await deliver();
    const request = sent[0]?.request;
    if (request === undefined) throw new Error("nothing was sent");
    verified(KEY, request);
    verified(OLD_KEY, request);
    expect(request.headers["webhook-signature"]).toMatch(/^v1,[A-Za-z0-9+/]{43}= v1,[A-Za-z0-9+/]{43}=$/);
  });

  it("has the method, URL, time-out and headers of the configuration", async () => {
    const { sent, deliver } = world({
      url: URL_WITH_SECRET,
      method: "PUT",
      timeout_seconds: 2.5,
      headers: {
        "CONTENT-TYPE": "application/cloudevents+json",
        Authorization: "Bearer hidden",
        "User-Agent": "mine",
        "Webhook-Id": "forged",
      },
    });
    await deliver();
    expect(sent).toEqual([
      {
        timeoutMs: 2500,
        request: {
          url: URL_WITH_SECRET,
          method: "PUT",
          headers: {
            "content-type": "application/cloudevents+json",
            "user-agent": "mine",
            authorization: "Bearer hidden",
            "webhook-id": "notice-1",
            "webhook-timestamp": String(Math.floor(NOW_MS / 1000)),
          },
          body: expect.stringContaining('"specversion":"1.0"'),
        },
      },
    ]);
  });

  it("has a content type and a user agent without any configured header", async () => {
    const { sent, deliver } = world({ url: URL_WITH_SECRET, headers: {} });
    await deliver();
    expect(sent[0]?.request.headers).toMatchObject({
      "content-type": "application/json",
      "user-agent": "failover-coordinator",
    });
  });

  it("keeps its id over retries, and has the time of each", async () => {
    const first = world({ url: URL_WITH_SECRET, secret: KEY });
    const later = world({ url: URL_WITH_SECRET, secret: KEY }, [], { nowMs: NOW_MS + 61_000 });
    await first.deliver();
    await later.deliver();
    const [one, other] = [first.sent[0]?.request, later.sent[0]?.request];
    expect(one?.headers["webhook-id"]).toBe(other?.headers["webhook-id"]);
    expect(Number(other?.headers["webhook-timestamp"]) - Number(one?.headers["webhook-timestamp"])).toBe(61);
    expect(one?.headers["webhook-signature"]).not.toBe(other?.headers["webhook-signature"]);
    expect(one?.body).toBe(other?.body);
  });

  it("has the shape of the preset", async () => {
    for (const [preset, field] of [
      ["cloudevents", "specversion"],
      ["slack", "blocks"],
      ["discord", "embeds"],
      ["pagerduty", "routing_key"],
    ] as const) {
      const { sent, deliver } = world({ url: URL_WITH_SECRET, preset, routing_key: "r".repeat(32) });
      expect(await deliver()).toMatchObject({ isDelivered: true });
      expect(JSON.parse(sent[0]?.request.body ?? "")).toHaveProperty(field);
    }
  });
});

describe("several requests for one notification", () => {
  const pagerduty = { preset: "pagerduty", routing_key: "r".repeat(32) } as const;
  const digest = noticeWith({
    kind: "digest",
    incidents: [1, 2, 3].map((number) => incidentWith({ dedup_key: `demo/${number}` })),
  });
  const keysOf = (sent: { request: HttpRequest }[]) =>
    sent.map(({ request }) => (JSON.parse(request.body) as { dedup_key: string }).dedup_key);

  it("go to PagerDuty itself when no URL is set, in order, each with an id of its own", async () => {
    const { sent, deliver } = world({ ...pagerduty, url: "" });
    expect(await deliver(digest)).toMatchObject({ isDelivered: true });
    expect(new Set(sent.map(({ request }) => request.url))).toEqual(
      new Set(["https://events.pagerduty.com/v2/enqueue"]),
    );
    expect(keysOf(sent)).toEqual(["demo/1", "demo/2", "demo/3"]);
    expect(sent.map(({ request }) => request.headers["webhook-id"])).toEqual([
      "notice-1",
      "notice-1-2",
      "notice-1-3",
    ]);
  });

  it("stop at the first failure, and name it", async () => {
    const { sent, deliver } = world(pagerduty, [answered(202), answered(503, "7")]);
    expect(await deliver(digest)).toMatchObject({
      isDelivered: false,
      error: "request 2 of 3: answered 503",
      retryAfterMs: 7000,
    });
    expect(sent).toHaveLength(2);
  });

  it("continue after a request whose body the receiver rejects", async () => {
    const { sent, deliver } = world(pagerduty, [answered(400), answered(202), answered(202)]);
    expect(await deliver(digest)).toMatchObject({
      isDelivered: false,
      error: "request 1 of 3: answered 400",
    });
    expect(keysOf(sent)).toEqual(["demo/1", "demo/2", "demo/3"]);
  });

  it("open and resolve the alert of a test", async () => {
    const { sent, deliver } = world(pagerduty);
    await deliver(noticeWith({ kind: "test" }));
    expect(sent.map(({ request }) => JSON.parse(request.body).event_action)).toEqual(["trigger", "resolve"]);
  });
});

describe("the answer to a webhook request", () => {
  const outcomeOf = async (outcome: HttpOutcome) => world({ url: URL_WITH_SECRET }, [outcome]).deliver();
  const failure = { isDelivered: false, isPermanent: false, isGone: false, retryAfterMs: null };

  it("is a delivery for 2xx only", async () => {
    for (const status of [200, 201, 202, 204, 299]) {
      expect(await outcomeOf(answered(status))).toEqual({ isDelivered: true, note: null });
    }
    for (const status of [100, 199, 400, 401, 404, 408, 500, 599]) {
      expect(await outcomeOf(answered(status))).toEqual({ ...failure, error: `answered ${status}` });
    }
  });

  it("causes no second request for a redirect", async () => {
    expect(await outcomeOf(answered(302))).toEqual({
      ...failure,
      error: "answered 302: redirects are not followed; set the final address",
    });
  });

  it("fails the webhook permanently for 410", async () => {
    expect(await outcomeOf(answered(410))).toMatchObject({ isGone: true, isPermanent: true });
  });

  it("can ask for a delay", async () => {
    expect(await outcomeOf(answered(429, "120"))).toEqual({
      ...failure,
      error: "answered 429",
      retryAfterMs: 120_000,
    });
    const date = new Date(NOW_MS + 60_000).toUTCString();
    expect(await outcomeOf(answered(503, date))).toMatchObject({ retryAfterMs: expect.closeTo(60_000, -4) });
    expect(await outcomeOf(answered(503, "soon"))).toMatchObject({ retryAfterMs: null });
  });

  it("is retried when it is missing", async () => {
    expect(await outcomeOf({ isAnswered: false, reason: "no answer within 10 s" })).toEqual({
      ...failure,
      error: "no answer within 10 s",
    });
  });
});

describe("a webhook without a complete configuration", () => {
  const refused = async (webhook: Partial<WebhookNotificationConfig>, more: Partial<ChannelTools> = {}) => {
    const { sent, deliver } = world(webhook, [], more);
    const delivery = await deliver();
    expect(sent).toEqual([]);
    expect(delivery).toMatchObject({ isDelivered: false, isPermanent: true, isGone: false });
    return delivery.isDelivered ? "" : delivery.error;
  };

  it("is told which key to set", async () => {
    expect(await refused({ url: "" })).toContain("webhook_notification.url");
    expect(await refused({ url: "", preset: "slack" })).toContain("webhook_notification.url");
    expect(await refused({ url: "", preset: "pagerduty" })).toContain("webhook_notification.routing_key");
  });

  it("calls no forbidden address, and says why", async () => {
    expect(await refused({ url: "https://127.0.0.1/hidden" })).toBe(
      "webhook_notification.url is refused: its host is an IP address, not a name (ALLOW_LOCAL_TARGETS=true allows it)",
    );
    expect(await refused({ url: "https://coordinator.example/hidden" })).toContain("own address");
    const local = world({ url: "http://127.0.0.1:9000/" }, [], { allowLocalTargets: true });
    expect(await local.deliver()).toMatchObject({ isDelivered: true });
  });

  it("names the unusable key, never its value", async () => {
    const short = Buffer.alloc(15, 1).toString("base64");
    for (const bad of ["whsec_", "whsec_not-base64!", "whsec_Zm9vY", short]) {
      const error = await refused({ url: URL_WITH_SECRET, secret: bad });
      expect(error).toContain("webhook_notification.secret ");
      if (bad !== "whsec_") expect(error).not.toContain(bad.replace("whsec_", ""));
      expect(await refused({ url: URL_WITH_SECRET, secret: KEY, previous_secret: bad })).toContain(
        "webhook_notification.previous_secret ",
      );
    }
  });
});

describe("an error of a webhook", () => {
  it("shows neither URL, headers, keys nor the answer", async () => {
    const webhook: Partial<WebhookNotificationConfig> = {
      url: URL_WITH_SECRET,
      headers: { Authorization: "Bearer hidden-in-a-header" },
      secret: KEY,
      previous_secret: OLD_KEY,
      routing_key: "hidden-routing-key",
    };
    const everything = `${URL_WITH_SECRET} /services/T0/B0/hidden-in-the-path?token=hidden-too Bearer hidden-in-a-header ${KEY} ${OLD_KEY} hidden-routing-key`;
    const outcomes: HttpOutcome[] = [
      ...[302, 400, 410, 429, 500].map((status) => answered(status)),
      { isAnswered: false, reason: `connecting failed: ${everything}` },
      { isAnswered: false, reason: "" },
    ];
    for (const outcome of outcomes) {
      const delivery = await world(webhook, [outcome]).deliver();
      const error = delivery.isDelivered ? "" : delivery.error;
      expect(error).not.toBe("");
      expect(error).not.toMatch(/hidden|whsec_|T0/);
    }
  });
});

describe("Standard Webhooks signatures", () => {
  it("verify for any body and any key of 16 bytes or more, with or without the prefix", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 16, maxLength: 64 }),
        fc.string({ unit: "grapheme" }),
        fc.boolean(),
        async (bytes, text, hasPrefix) => {
          const key = keyOf(bytes);
          const body = JSON.stringify({ text });
          const signing = await signedHeaders({
            id: "id",
            timestampSeconds: Math.floor(NOW_MS / 1000),
            body,
            secrets: { secret: hasPrefix ? key : key.slice("whsec_".length), previous_secret: "" },
          });
          if (!signing.isSigned) throw new Error("it is not signed");
          expect(new Webhook(key).verify(body, signing.headers)).toEqual({ text });
        },
      ),
    );
  });

  it("are those of the specification's own example", async () => {
    const signing = await signedHeaders({
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      timestampSeconds: 1_614_265_330,
      body: '{"test": 2432232314}',
      secrets: { secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", previous_secret: "" },
    });
    expect(signing).toMatchObject({
      headers: { "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" },
    });
  });

  it("are made by the previous key alone when only that is set", async () => {
    const { sent, deliver } = world({ url: URL_WITH_SECRET, previous_secret: OLD_KEY });
    await deliver(noticeWith({ incidents: [resolvedIncident()] }));
    const request = sent[0]?.request;
    if (request === undefined) throw new Error("nothing was sent");
    verified(OLD_KEY, request);
  });
});

describe("the header Retry-After", () => {
  const nowMs = Date.UTC(1994, 10, 6, 8, 49, 0);

  it("is seconds, or a date in any of the three forms of RFC 9110", () => {
    expect(retryAfterMs("0", nowMs)).toBe(0);
    expect(retryAfterMs(" 120 ", nowMs)).toBe(120_000);
    expect(retryAfterMs("Sun, 06 Nov 1994 08:49:37 GMT", nowMs)).toBe(37_000);
    expect(retryAfterMs("Sunday, 06-Nov-94 08:49:37 GMT", nowMs)).toBe(37_000);
    expect(retryAfterMs("Sun Nov  6 08:49:37 1994", nowMs)).toBe(37_000);
  });

  it("is at most a day", () => {
    expect(retryAfterMs("86401", nowMs)).toBe(86_400_000);
    expect(retryAfterMs("9".repeat(400), nowMs)).toBe(86_400_000);
    expect(retryAfterMs("Sun, 06 Nov 1995 08:49:37 GMT", nowMs)).toBe(86_400_000);
  });

  it("means no delay when it is past, negative or malformed", () => {
    for (const header of [
      null,
      "",
      "-1",
      "1.5",
      "soon",
      "1e3",
      "Sun, 06 Nov 1994 08:48:59 GMT",
      "Sun, 06 Foo 1994 08:49:37 GMT",
      "Sun, 99 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 25:49:37 GMT",
      "1994-11-06T08:49:37Z",
    ]) {
      expect(retryAfterMs(header, nowMs), String(header)).toBeNull();
    }
  });

  it("is read from every date that a server can write", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 86_400 }),
        fc.integer({ min: 0, max: 4_102_444_800 }),
        (wait, now) => {
          const date = new Date((now + wait) * 1000).toUTCString();
          expect(retryAfterMs(date, now * 1000)).toBe(wait * 1000);
        },
      ),
    );
  });

  it("reads two digits of a year as the nearest such year that is not far ahead", () => {
    const in2070Ms = Date.UTC(2070, 0, 1);
    expect(retryAfterMs("Wednesday, 01-Jan-70 00:00:09 GMT", in2070Ms)).toBe(9000);
    expect(retryAfterMs("Sunday, 06-Nov-94 08:49:37 GMT", Date.UTC(2026, 0, 1))).toBeNull();
  });
});
