/** The requests to email providers, field by field as in their documentation. */
import { describe, expect, it } from "vitest";
import { EmailNotificationConfig } from "../../../../src/contract/config/notification.ts";
import { endpoint } from "../../../../src/notifications/email/providers/mail-api.ts";
import { mailgunRequest } from "../../../../src/notifications/email/providers/mailgun.ts";
import { postmarkRefused, postmarkRequest } from "../../../../src/notifications/email/providers/postmark.ts";
import { MAIL_APIS } from "../../../../src/notifications/email/providers/registry.ts";
import { resendRequest } from "../../../../src/notifications/email/providers/resend.ts";
import { sendgridRequest } from "../../../../src/notifications/email/providers/sendgrid.ts";
import type { Mail } from "../../../../src/notifications/transports.ts";

const mail: Mail = {
  from: "alerts@company.org",
  to: ["ops@company.org", "night+eu@company.org"],
  subject: "[critical] 3 agents failed in cluster default",
  text: "planner-1 → planner-2 & more\n",
  html: "<p>planner-1 → planner-2 &amp; more</p>\n",
};

const configOf = (more: Partial<EmailNotificationConfig> = {}) =>
  EmailNotificationConfig.parse({ api_key: "key-1", ...more });

describe("Resend", () => {
  it("gets one email with all recipients, under a stable id", () => {
    const { body, ...rest } = resendRequest(mail, configOf(), "message-1");
    expect(rest).toEqual({
      url: "https://api.resend.com/emails",
      method: "POST",
      headers: {
        Authorization: "Bearer key-1",
        "Content-Type": "application/json",
        "Idempotency-Key": "message-1",
      },
    });
    expect(JSON.parse(body)).toEqual(mail);
  });
});

describe("Postmark", () => {
  it("gets the token in its own header, all recipients in one text, and the message stream", () => {
    const { body, ...rest } = postmarkRequest(mail, configOf({ postmark_message_stream: "alerts" }));
    expect(rest).toEqual({
      url: "https://api.postmarkapp.com/email",
      method: "POST",
      headers: {
        Accept: "application/json",
        "Content-Type": "application/json",
        "X-Postmark-Server-Token": "key-1",
      },
    });
    expect(JSON.parse(body)).toEqual({
      From: "alerts@company.org",
      To: "ops@company.org,night+eu@company.org",
      Subject: mail.subject,
      TextBody: mail.text,
      HtmlBody: mail.html,
      MessageStream: "alerts",
    });
  });

  it("is reported with the recipients that it leaves out", () => {
    const answer = (message: string) => JSON.stringify({ To: "a@b.c", ErrorCode: 0, Message: message });
    expect(postmarkRefused(answer("OK"))).toEqual([]);
    expect(
      postmarkRefused(
        answer(
          "Message OK, but will not deliver to these inactive addresses: ops@company.org, me@company.org.",
        ),
      ),
    ).toEqual(["ops@company.org", "me@company.org"]);
  });
});

describe("SendGrid", () => {
  it("gets the recipients as objects, and plain text before HTML", () => {
    const { body, ...rest } = sendgridRequest(mail, configOf());
    expect(rest).toEqual({
      url: "https://api.sendgrid.com/v3/mail/send",
      method: "POST",
      headers: { Authorization: "Bearer key-1", "Content-Type": "application/json" },
    });
    expect(JSON.parse(body)).toEqual({
      personalizations: [{ to: [{ email: "ops@company.org" }, { email: "night+eu@company.org" }] }],
      from: { email: "alerts@company.org" },
      subject: mail.subject,
      content: [
        { type: "text/plain", value: mail.text },
        { type: "text/html", value: mail.html },
      ],
    });
  });
});

describe("Mailgun", () => {
  it("gets a form at the sending domain, and the key as a password", () => {
    const { body, ...rest } = mailgunRequest(mail, configOf({ mailgun_domain: "mg.company.org" }));
    expect(rest).toEqual({
      url: "https://api.mailgun.net/v3/mg.company.org/messages",
      method: "POST",
      headers: {
        Authorization: `Basic ${Buffer.from("api:key-1").toString("base64")}`,
        "Content-Type": "application/x-www-form-urlencoded",
      },
    });
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      from: "alerts@company.org",
      to: "ops@company.org,night+eu@company.org",
      subject: mail.subject,
      text: mail.text,
      html: mail.html,
    });
    expect(body).toContain("night%2Beu%40company.org");
  });

  it("uses the domain of the sender where no sending domain is set", () => {
    expect(mailgunRequest(mail, configOf()).url).toBe("https://api.mailgun.net/v3/company.org/messages");
  });
});

describe("the base URL of an API", () => {
  it.each([
    ["https://api.eu.mailgun.net", "https://api.eu.mailgun.net/v3/x"],
    ["https://api.eu.mailgun.net/", "https://api.eu.mailgun.net/v3/x"],
    ["https://proxy.company.org:8443/mail", "https://proxy.company.org:8443/mail/v3/x"],
    ["https://proxy.company.org/mail//", "https://proxy.company.org/mail/v3/x"],
    ["https://proxy.company.org/mail?via=1", "https://proxy.company.org/mail/v3/x?via=1"],
  ])("%s becomes %s", (base, url) => {
    expect(endpoint(base, "/v3/x")).toBe(url);
  });

  it("can be replaced for every provider", () => {
    const config = configOf({ api_base_url: "https://proxy.company.org/mail/" });
    const urls = Object.values(MAIL_APIS).map((api) => api.request(mail, config, "message-1").url);
    expect(urls).toEqual([
      "https://proxy.company.org/mail/emails",
      "https://proxy.company.org/mail/email",
      "https://proxy.company.org/mail/v3/mail/send",
      "https://proxy.company.org/mail/v3/company.org/messages",
    ]);
  });
});
