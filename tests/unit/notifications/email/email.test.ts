/** The channel `email`: the transport of an email, the errors that prevent sending, and their texts. */
import { describe, expect, it } from "vitest";
import { EmailNotificationConfig } from "../../../../src/contract/config/notification.ts";
import { defaultConfig } from "../../../../src/contract/config.ts";
import { type ChannelTools, DELIVERED, type Delivery } from "../../../../src/notifications/channel.ts";
import { emailChannel } from "../../../../src/notifications/email/email.ts";
import type { NotificationMessage } from "../../../../src/notifications/notification-message.ts";
import type {
  HttpOutcome,
  HttpRequest,
  Mail,
  MailOutcome,
  SmtpServer,
  Transports,
} from "../../../../src/notifications/transports.ts";

const NOW_MS = Date.parse("2026-11-22T17:03:16.900Z");
const APIS = ["resend", "postmark", "sendgrid", "mailgun"] as const;

const notice: NotificationMessage = {
  id: "message-1",
  cluster: "default",
  kind: "test",
  at: "2026-11-22T17:03:16.900Z",
  status: "firing",
  severity: "info",
  subject: "A test",
  incidents: [],
  dashboardUrl: null,
};

const ready = { recipients: ["ops@company.org"], from: "alerts@company.org", api_key: "key-1" };
const bySmtp = { ...ready, provider: "smtp", smtp_server: "smtp.company.org" } as const;

/** Transports that record their calls and give prepared answers. */
class Post {
  readonly requests: HttpRequest[] = [];
  readonly mails: { server: SmtpServer | null; mail: Mail; timeoutMs: number }[] = [];
  httpOutcome: HttpOutcome = { isAnswered: true, status: 200, retryAfter: null, bodyStart: "{}" };
  mailOutcome: MailOutcome = { isAccepted: true, refused: [] };
  hasBinding = true;

  get transports(): Transports {
    return {
      http: async (request) => {
        this.requests.push(request);
        return this.httpOutcome;
      },
      smtp: async (server, mail, timeoutMs) => {
        this.mails.push({ server, mail, timeoutMs });
        return this.mailOutcome;
      },
      cloudflareMail: this.hasBinding
        ? async (mail, timeoutMs) => {
            this.mails.push({ server: null, mail, timeoutMs });
            return this.mailOutcome;
          }
        : null,
    };
  }

  deliver(config: Partial<EmailNotificationConfig>, more: Partial<ChannelTools> = {}): Promise<Delivery> {
    const { failure_notification, webhook_notification } = defaultConfig();
    return emailChannel.deliver(notice, {
      config: {
        failure_notification,
        webhook_notification,
        email_notification: { ...EmailNotificationConfig.parse({}), ...config },
      },
      transports: this.transports,
      log: { line: () => {} },
      broadcast: () => {},
      nowMs: NOW_MS,
      allowLocalTargets: false,
      publicUrl: "https://failover.company.org",
      ...more,
    });
  }

  get isUnused(): boolean {
    return this.requests.length === 0 && this.mails.length === 0;
  }
}

async function refusalOf(config: Partial<EmailNotificationConfig>, post = new Post()): Promise<string> {
  const delivery = await post.deliver(config);
  if (delivery.isDelivered) throw new Error("it was delivered");
  expect(delivery).toMatchObject({ isPermanent: true, retryAfterMs: null, isGone: false });
  expect(post.isUnused).toBe(true);
  return delivery.error;
}

describe("an email without a complete configuration", () => {
  it.each([
    ["no recipients", { ...bySmtp, recipients: [] }, "email_notification.recipients"],
    ["no sender", { ...bySmtp, from: "" }, "email_notification.from"],
    [
      "a user name that is no address",
      { ...bySmtp, from: "", username: "apikey" },
      "email_notification.from",
    ],
    ["no mail server", { ...bySmtp, smtp_server: "" }, "email_notification.smtp_server"],
    [
      "an IP address as mail server",
      { ...bySmtp, smtp_server: "10.0.0.7" },
      "email_notification.smtp_server",
    ],
    ["a local mail server", { ...bySmtp, smtp_server: "localhost" }, "email_notification.smtp_server"],
    ...APIS.flatMap((provider): [string, Partial<EmailNotificationConfig>, string][] => [
      [`no key for ${provider}`, { ...ready, provider, api_key: "" }, "email_notification.api_key"],
      [
        `a line break in the key for ${provider}`,
        { ...ready, provider, api_key: "k\n" },
        "email_notification.api_key",
      ],
      [
        `an insecure place of ${provider}`,
        { ...ready, provider, api_base_url: "http://mail.company.org" },
        "email_notification.api_base_url",
      ],
      [
        `a local place of ${provider}`,
        { ...ready, provider, api_base_url: "https://localhost/" },
        "email_notification.api_base_url",
      ],
      [
        `no address as the place of ${provider}`,
        { ...ready, provider, api_base_url: "mail company" },
        "email_notification.api_base_url",
      ],
      [
        `no web address as the place of ${provider}`,
        { ...ready, provider, api_base_url: "mailto:a@b.c" },
        "email_notification.api_base_url",
      ],
    ]),
  ] satisfies [string, Partial<EmailNotificationConfig>, string][])(
    "fails permanently with %s, and names the key to set",
    async (_, config, key) => {
      expect(await refusalOf(config)).toContain(key);
    },
  );

  it("fails permanently without Cloudflare's binding, and names the binding", async () => {
    const post = new Post();
    post.hasBinding = false;
    expect(await refusalOf({ ...ready, provider: "cloudflare" }, post)).toContain("send_email binding EMAIL");
  });

  it("never shows the key", async () => {
    expect(await refusalOf({ ...ready, provider: "resend", api_key: "sesame\n" })).not.toContain("sesame");
  });
});

describe("an email over SMTP", () => {
  it("goes to the configured server within its time limit", async () => {
    const post = new Post();
    const config = { ...bySmtp, username: "robot", password: "pw-1", timeout_seconds: 2.5 };
    expect(await post.deliver(config)).toEqual(DELIVERED);
    expect(post.mails).toMatchObject([
      {
        server: { host: "smtp.company.org", port: 587, username: "robot", password: "pw-1" },
        mail: { from: "alerts@company.org", to: ["ops@company.org"] },
        timeoutMs: 2500,
      },
    ]);
    expect(post.mails[0]?.mail.subject).toBe("[test] Notifications of cluster default");
  });

  it.each([
    ["auto", undefined],
    ["tls", "tls"],
    ["starttls", "starttls"],
  ] as const)("with the security %s tells the transport %s", async (smtp_security, security) => {
    const post = new Post();
    await post.deliver({ ...bySmtp, smtp_security });
    expect(post.mails[0]?.server?.security).toBe(security);
  });

  it("has the SMTP user as its sender if that is an address and no sender is set", async () => {
    const post = new Post();
    await post.deliver({ ...bySmtp, from: "", username: "robot@company.org" });
    expect(post.mails[0]?.mail.from).toBe("robot@company.org");
  });

  it("names each recipient once", async () => {
    const post = new Post();
    await post.deliver({ ...bySmtp, recipients: ["Ops@company.org", "ops@company.org", "me@company.org"] });
    expect(post.mails[0]?.mail.to).toEqual(["ops@company.org", "me@company.org"]);
  });

  it("reaches a local server where that is allowed", async () => {
    const post = new Post();
    expect(await post.deliver({ ...bySmtp, smtp_server: "127.0.0.1" }, { allowLocalTargets: true })).toEqual(
      DELIVERED,
    );
  });

  it("that some recipients do not get is delivered with a note", async () => {
    const post = new Post();
    post.mailOutcome = { isAccepted: true, refused: ["gone@company.org"] };
    expect(await post.deliver(bySmtp)).toEqual({
      isDelivered: true,
      note: "1 recipient refused: gone@company.org",
    });
  });

  it.each([true, false])(
    "that is rejected has the reason, and fails permanently if the server's reply is permanent: %s",
    async (isPermanent) => {
      const post = new Post();
      post.mailOutcome = { isAccepted: false, reason: "the server said\r\n550 no", isPermanent };
      expect(await post.deliver(bySmtp)).toEqual({
        isDelivered: false,
        error: "smtp: the server said 550 no",
        isPermanent,
        retryAfterMs: null,
        isGone: false,
      });
    },
  );
});

describe("an email through Cloudflare's binding", () => {
  it("needs only a sender and recipients", async () => {
    const post = new Post();
    const { recipients, from } = ready;
    expect(await post.deliver({ provider: "cloudflare", recipients, from })).toEqual(DELIVERED);
    expect(post.mails).toMatchObject([
      { server: null, mail: { to: ["ops@company.org"] }, timeoutMs: 30_000 },
    ]);
  });
});

describe("an email through an HTTP API", () => {
  it.each(APIS)("goes to %s in one request", async (provider) => {
    const post = new Post();
    post.httpOutcome = { isAnswered: true, status: 202, retryAfter: null, bodyStart: "" };
    expect(await post.deliver({ ...ready, provider })).toEqual(DELIVERED);
    expect(post.requests).toHaveLength(1);
    expect(post.mails).toEqual([]);
  });

  it("has the notification's id at Resend, so that a retry makes no second email", async () => {
    const post = new Post();
    await post.deliver({ ...ready, provider: "resend" });
    await post.deliver({ ...ready, provider: "resend" });
    expect(post.requests[0]).toEqual(post.requests[1]);
    expect(post.requests[0]?.headers).toMatchObject({ "Idempotency-Key": "message-1" });
  });

  it("goes to a local API where that is allowed", async () => {
    const post = new Post();
    const config = { ...ready, provider: "resend", api_base_url: "http://127.0.0.1:8025/" } as const;
    expect(await post.deliver(config, { allowLocalTargets: true })).toEqual(DELIVERED);
    expect(post.requests[0]?.url).toBe("http://127.0.0.1:8025/emails");
  });

  it("that Postmark does not deliver to all is delivered with a note", async () => {
    const post = new Post();
    const bodyStart = `{"ErrorCode":0,"Message":"Message OK, but will not deliver to these inactive addresses: a@b.org"}`;
    post.httpOutcome = { isAnswered: true, status: 200, retryAfter: null, bodyStart };
    expect(await post.deliver({ ...ready, provider: "postmark" })).toEqual({
      isDelivered: true,
      note: "1 recipient refused: a@b.org",
    });
  });

  async function failureOf(outcome: HttpOutcome) {
    const post = new Post();
    post.httpOutcome = outcome;
    const delivery = await post.deliver({ ...ready, provider: "sendgrid" });
    if (delivery.isDelivered) throw new Error("it was delivered");
    return delivery;
  }
  const answer = (status: number, more: { retryAfter?: string; bodyStart?: string } = {}): HttpOutcome => ({
    isAnswered: true,
    status,
    retryAfter: null,
    bodyStart: "",
    ...more,
  });

  it.each([401, 403, 408, 409, 425, 429, 500, 502, 503, 504])(
    "is retried after status %i",
    async (status) => {
      expect((await failureOf(answer(status))).isPermanent).toBe(false);
    },
  );

  it.each([301, 307, 400, 404, 410, 413, 422])("fails permanently after status %i", async (status) => {
    expect(await failureOf(answer(status))).toMatchObject({ isPermanent: true, isGone: false });
  });

  it("is retried when there is no answer", async () => {
    expect(await failureOf({ isAnswered: false, reason: "no answer within 30 s" })).toEqual({
      isDelivered: false,
      error: "sendgrid did not answer: no answer within 30 s",
      isPermanent: false,
      retryAfterMs: null,
      isGone: false,
    });
  });

  it("is retried after the time that the provider asks for", async () => {
    expect((await failureOf(answer(429, { retryAfter: "120" }))).retryAfterMs).toBe(120_000);
    expect((await failureOf(answer(503, { retryAfter: "Sun, 22 Nov 2026 17:04:16 GMT" }))).retryAfterMs).toBe(
      59_100,
    );
    expect((await failureOf(answer(503))).retryAfterMs).toBeNull();
  });

  it("that fails has the provider and its answer in one bounded line", async () => {
    expect((await failureOf(answer(422, { bodyStart: '{"error":\n"no \u202esuch sender"}' }))).error).toBe(
      'sendgrid answered 422: {"error": "no such sender"}',
    );
    const { error } = await failureOf(answer(400, { bodyStart: "x".repeat(5000) }));
    expect(error).toBe(`sendgrid answered 400: ${"x".repeat(199)}…`);
    expect((await failureOf(answer(401))).error).toContain("email_notification.api_key");
  });
});
