/** Email of `npm start`: over SMTP to real servers, with verified certificates, and through the HTTP APIs. */
import { describe, expect, it } from "vitest";
import { NotificationTestAnswer, type NotificationTestResult } from "../../src/contract/notification.ts";
import { certificatesOfThisFile, makeCertificates } from "../support/certificates.ts";
import { apiOfThisFile, type CheckedCluster, type JsonObject } from "../support/checked-cluster.ts";
import { answer, type HttpReceiver, startHttpReceiver } from "../support/http-receiver.ts";
import { fail, messageOnce } from "../support/notification-records.ts";
import {
  MAIL_PASSWORD,
  MAIL_USERNAME,
  startMailReceiver,
  startRawReceiver,
  stripped,
} from "../support/smtp-receiver.ts";

const RECIPIENT = "oncall@example.org";

/** Long enough for an email on a busy machine, short enough to wait for one that hangs. */
const TIMEOUT_SECONDS = 3;

const { certificates, caFile } = await certificatesOfThisFile();
const api = apiOfThisFile({ env: { ALLOW_LOCAL_TARGETS: "true", NODE_EXTRA_CA_CERTS: caFile } });

async function clusterMailing(email: JsonObject): Promise<CheckedCluster> {
  const cluster = api.cluster();
  await cluster.configure({
    failure_notification: { notification_types: ["email"], group_wait_seconds: 0 },
    email_notification: {
      recipients: [RECIPIENT],
      timeout_seconds: TIMEOUT_SECONDS,
      retry_schedule_seconds: [],
      ...email,
    },
  });
  return cluster;
}

const bySmtp = (port: number, more: JsonObject = {}) =>
  clusterMailing({
    smtp_server: "localhost",
    smtp_port: port,
    smtp_security: "starttls",
    username: MAIL_USERNAME,
    password: MAIL_PASSWORD,
    ...more,
  });

async function test(cluster: CheckedCluster): Promise<NotificationTestResult> {
  const { results } = (await cluster.post("/notifications/test")).as(200, NotificationTestAnswer);
  const [result] = results;
  expect(results).toHaveLength(1);
  if (result === undefined) throw new Error("there is one channel");
  return result;
}

describe("an email over SMTP", () => {
  it.each(["starttls", "tls"] as const)(
    "about a failure arrives over %s, signed in, from the user name",
    async (security) => {
      await using receiver = await startMailReceiver({ certificates, security });
      const cluster = await bySmtp(receiver.port, { smtp_security: security });
      const failure = await fail(cluster, "a1");
      await receiver.mailArrived();
      const [mail] = receiver.mails;
      expect(mail).toMatchObject({
        from: MAIL_USERNAME,
        to: [RECIPIENT],
        isSecure: true,
        username: MAIL_USERNAME,
      });
      expect(mail?.raw).toMatch(/^Subject: .*a1/m);
      expect(mail?.raw).toMatch(/^Content-Type: text\/plain/m);
      expect(mail?.raw).toMatch(/^Content-Type: text\/html/m);
      expect(await cluster.toldOf(failure.id, 1)).toMatchObject([
        { channel: "email", state: "delivered", try_count: 1 },
      ]);
    },
  );

  it("is sent from `from` where that is set", async () => {
    await using receiver = await startMailReceiver({ certificates, security: "tls" });
    const cluster = await bySmtp(receiver.port, { smtp_security: "tls", from: "failover@example.org" });
    expect(await test(cluster)).toMatchObject({ delivered: true, error: null });
    expect(receiver.mails).toMatchObject([{ from: "failover@example.org", username: MAIL_USERNAME }]);
  });

  it("is not sent, nor is the password, where STARTTLS is missing", async () => {
    await using receiver = await startRawReceiver(stripped);
    const result = await test(await bySmtp(receiver.port));
    expect(result).toMatchObject({ delivered: false, error: expect.stringContaining("STARTTLS") });
    await receiver.allGone();
    expect(receiver.received()).not.toMatch(/AUTH|MAIL|DATA/i);
    expect(receiver.received()).not.toContain(btoa(MAIL_PASSWORD));
  });

  it("is not sent to a server with an untrusted certificate", async () => {
    const strangers = await makeCertificates();
    await using receiver = await startMailReceiver({ certificates: strangers, security: "tls" });
    const result = await test(await bySmtp(receiver.port, { smtp_security: "tls" }));
    expect(result).toMatchObject({ delivered: false, error: expect.stringContaining("certificate") });
    expect(receiver.connections()).toBe(1);
    expect(receiver.mails).toEqual([]);
    expect(receiver.signIns()).toBe(0);
  });

  it("to a rejected recipient fails at once with the reason", async () => {
    await using receiver = await startMailReceiver({
      certificates,
      security: "tls",
      refusals: { [RECIPIENT]: 550 },
    });
    const cluster = await bySmtp(receiver.port, { smtp_security: "tls", retry_schedule_seconds: [3600] });
    const message = await messageOnce(cluster, await fail(cluster, "a1"), "dead");
    expect(message).toMatchObject({ state: "dead", try_count: 1 });
    expect(message.last_error).toContain("550");
    expect(receiver.mails).toEqual([]);
  });

  it("with a wrong password fails without showing the password", async () => {
    await using receiver = await startMailReceiver({ certificates, security: "tls" });
    const result = await test(
      await bySmtp(receiver.port, { smtp_security: "tls", password: "not-the-word" }),
    );
    expect(result).toMatchObject({ delivered: false, error: expect.stringContaining("sign-in") });
    expect(JSON.stringify(result)).not.toContain("not-the-word");
  });
});

describe("an email through an HTTP API", () => {
  const API = { api_key: "key-4711-of-the-tests", from: "failover@example.org" };

  /** The one request that a test notification makes, and its body. */
  async function requestOf(provider: string, receiver: HttpReceiver, more: JsonObject = {}) {
    const api_base_url = `http://127.0.0.1:${receiver.port}`;
    const result = await test(await clusterMailing({ provider, api_base_url, ...API, ...more }));
    expect(result).toMatchObject({ delivered: true, error: null });
    expect(receiver.requests).toHaveLength(1);
    const request = await receiver.nth(1);
    return { ...request, notificationId: result.notification_id };
  }

  it("goes to Resend in its format", async () => {
    await using receiver = await startHttpReceiver(answer(200));
    const { method, url, headers, body, notificationId } = await requestOf("resend", receiver);
    expect([method, url]).toEqual(["POST", "/emails"]);
    expect(headers).toMatchObject({
      authorization: `Bearer ${API.api_key}`,
      "content-type": "application/json",
      "idempotency-key": notificationId,
    });
    expect(JSON.parse(body)).toEqual({
      from: API.from,
      to: [RECIPIENT],
      subject: expect.stringContaining("test"),
      text: expect.any(String),
      html: expect.stringContaining("<"),
    });
  });

  it("goes to Postmark in its format", async () => {
    await using receiver = await startHttpReceiver(answer(200));
    const { method, url, headers, body } = await requestOf("postmark", receiver);
    expect([method, url]).toEqual(["POST", "/email"]);
    expect(headers).toMatchObject({ "x-postmark-server-token": API.api_key, accept: "application/json" });
    expect(JSON.parse(body)).toEqual({
      From: API.from,
      To: RECIPIENT,
      Subject: expect.stringContaining("test"),
      TextBody: expect.any(String),
      HtmlBody: expect.stringContaining("<"),
      MessageStream: "outbound",
    });
  });

  it("goes to SendGrid in its format", async () => {
    await using receiver = await startHttpReceiver(answer(202));
    const { method, url, headers, body } = await requestOf("sendgrid", receiver);
    expect([method, url]).toEqual(["POST", "/v3/mail/send"]);
    expect(headers).toMatchObject({ authorization: `Bearer ${API.api_key}` });
    expect(JSON.parse(body)).toEqual({
      personalizations: [{ to: [{ email: RECIPIENT }] }],
      from: { email: API.from },
      subject: expect.stringContaining("test"),
      content: [
        { type: "text/plain", value: expect.any(String) },
        { type: "text/html", value: expect.stringContaining("<") },
      ],
    });
  });

  it("goes to Mailgun in its format", async () => {
    await using receiver = await startHttpReceiver(answer(200));
    const { method, url, headers, body } = await requestOf("mailgun", receiver);
    expect([method, url]).toEqual(["POST", "/v3/example.org/messages"]);
    expect(headers).toMatchObject({
      authorization: `Basic ${btoa(`api:${API.api_key}`)}`,
      "content-type": expect.stringContaining("application/x-www-form-urlencoded"),
    });
    const form = Object.fromEntries(new URLSearchParams(body));
    expect(form).toEqual({
      from: API.from,
      to: RECIPIENT,
      subject: expect.stringContaining("test"),
      text: expect.any(String),
      html: expect.stringContaining("<"),
    });
  });

  it("through Cloudflare's binding names the missing binding", async () => {
    const result = await test(await clusterMailing({ provider: "cloudflare", ...API }));
    expect(result).toMatchObject({ delivered: false, error: expect.stringContaining("EMAIL") });
  });
});
