/**
 * The sections `failure_notification`, `email_notification` and `webhook_notification`: which
 * failures are told, how they are grouped, and how each channel reaches people.
 */
import * as z from "zod";
import { Severity } from "../failure.ts";
import { CHANNEL_NAMES, ChannelName } from "../notification.ts";
import { DAY_SECONDS, hasNoDuplicates, isSecretReference, line, reference, seconds } from "./values.ts";

export const MAIL_PROVIDERS = ["smtp", "cloudflare", "resend", "postmark", "sendgrid", "mailgun"] as const;
export const WEBHOOK_PRESETS = ["cloudevents", "slack", "discord", "pagerduty"] as const;

const MAX_RECIPIENTS = 50;
const MAX_HEADERS = 32;
/** Longest host name in DNS. */
const MAX_HOST_CHARACTERS = 253;
/** Longest mail address that SMTP can carry. */
const MAX_ADDRESS_CHARACTERS = 254;
const MAX_URL_CHARACTERS = 2048;
const MAX_SECRET_CHARACTERS = 1024;
/** Tries of one message after the first: enough for a day at any sensible pace. */
const MAX_RETRIES = 24;

const MailAddress = z
  .string()
  .max(MAX_ADDRESS_CHARACTERS)
  .regex(
    /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/,
    "must be a mail address such as ops@company.org",
  );

/** What a header of a webhook may be called (RFC 9110 `token`). */
const HeaderName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/, "must be the name of an HTTP header");

/** What `fetch` can send as a header: bytes, no line breaks. */
const HeaderValue = z
  .string()
  .max(1024)
  .regex(/^[ -~\u00a0-\u00ff]*$/, "must be Latin-1 text without control characters");

/** Sign-in data in an address would be shown with it, and `fetch` refuses it; headers are the place for it. */
function isAddress(value: string): boolean {
  if (value === "" || isSecretReference(value)) return true;
  if (!/^https?:\/\/[^\s\p{Cc}]+$/iu.test(value) || !URL.canParse(value)) return false;
  const url = new URL(value);
  return url.username === "" && url.password === "";
}

const address = z.string().max(MAX_URL_CHARACTERS).refine(isAddress, {
  message: "must be an http or https address without a user name and password in it",
});

const secret = (description: string) =>
  line(MAX_SECRET_CHARACTERS).default("").meta({ secret: true, description });

const timeout = (value: number, what: string) =>
  seconds(0.1, 120)
    .default(value)
    .meta({ unit: "seconds", description: `How long one try may take, ${what}.` });

/** Seconds, then minutes, then hours: a short outage delays little, a long one is outlasted. */
const RETRY_SCHEDULE_SECONDS = [5, 30, 120, 600, 1800, 7200, 21_600];

const retrySchedule = z
  .array(seconds(0.1, DAY_SECONDS))
  .max(MAX_RETRIES)
  .default(RETRY_SCHEDULE_SECONDS)
  .meta({
    unit: "seconds",
    description:
      "Waits between the tries of a message, each up to a fifth longer by chance. After the last one it is `dead` and can be redelivered by a call. An empty list: one try.",
  });

const minSeverity = z.union([Severity, z.null()]).default(null).meta({
  description: "Lowest severity told through this channel; null: `min_severity`.",
});

export const FailureNotificationConfig = z
  .strictObject({
    enabled: z.boolean().default(true).meta({ description: "Whether anybody is told of failures." }),
    notification_types: z
      .array(ChannelName)
      .max(CHANNEL_NAMES.length)
      .refine(hasNoDuplicates, { message: "a type is listed twice" })
      .default(["log", "system"])
      .meta({
        description:
          "Where failures are told: the log, mail, a webhook, the agents' message boxes and the dashboard.",
      }),
    min_severity: Severity.default("warning").meta({
      description: "Failures below this severity are not told.",
    }),
    channel_min_severity: z
      .strictObject({ log: minSeverity, email: minSeverity, webhook: minSeverity, system: minSeverity })
      .prefault({})
      .meta({ description: "A higher threshold for single channels." }),
    group_wait_seconds: seconds(0, 3600).default(5).meta({
      unit: "seconds",
      description:
        "A new incident is told once no failure joined it for this long, and after six times this long at the latest.",
    }),
    group_interval_seconds: seconds(0.1, DAY_SECONDS).default(300).meta({
      unit: "seconds",
      description: "Between two messages of a channel about one incident, when something changed.",
    }),
    repeat_interval_seconds: seconds(1, 30 * DAY_SECONDS)
      .default(14_400)
      .meta({
        unit: "seconds",
        description: "Between two messages of a channel about one incident in which nothing changed.",
      }),
    max_messages_per_interval: z.int().min(1).max(1000).default(5).meta({
      unit: "messages",
      description:
        "Messages that a channel gets within `group_interval_seconds`; what is left over waits and comes as one digest.",
    }),
    system_groups: z.enum(["all", "affected"]).default("all").meta({
      description:
        "Whose active agents get the message of the channel `system`: those of every group, or of the groups in which something failed.",
    }),
    dashboard_url: address.default("").meta({
      description:
        "Address that messages link to. Empty: the server's own (`PUBLIC_URL`), or no link where that is not set.",
    }),
  })
  .refine((notification) => notification.repeat_interval_seconds >= notification.group_interval_seconds, {
    path: ["repeat_interval_seconds"],
    message: "must be at least `group_interval_seconds`",
  });
export type FailureNotificationConfig = z.output<typeof FailureNotificationConfig>;

export const EmailNotificationConfig = z.strictObject({
  recipients: z
    .array(MailAddress)
    .max(MAX_RECIPIENTS)
    .default([])
    .meta({ description: "Who gets the mail. Nobody: no mail is sent." }),
  provider: z.enum(MAIL_PROVIDERS).default("smtp").meta({
    description:
      "How mail is sent: by SMTP, by Cloudflare's binding `EMAIL`, or by the HTTP API of Resend, Postmark, SendGrid or Mailgun.",
  }),
  smtp_server: z
    .string()
    .max(MAX_HOST_CHARACTERS)
    .regex(/^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)?$/, "must be a host name or an IPv4 address")
    .default("")
    .meta({ description: "Host of the mail server, for `smtp`. Empty: no mail is sent." }),
  smtp_port: z.int().min(1).max(65_535).default(587).meta({
    unit: "port",
    description: "465 speaks TLS from the first byte; others must offer STARTTLS.",
  }),
  smtp_security: z.enum(["auto", "tls", "starttls"]).default("auto").meta({
    description: "`tls` or `starttls` whatever the port; `auto`: by the port. There is no unencrypted mail.",
  }),
  username: line(MAX_ADDRESS_CHARACTERS)
    .default("")
    .meta({ description: "Who signs in to the mail server. Empty: nobody signs in." }),
  password: secret(`Password of \`username\`. Name it, do not write it: ${reference("SMTP_PASSWORD")}.`),
  from: z
    .union([z.literal(""), MailAddress], { error: "must be a mail address, or empty" })
    .default("")
    .meta({
      maxLength: MAX_ADDRESS_CHARACTERS,
      description: "Sender's address. Empty: `username`, if that is an address.",
    }),
  api_key: secret(`Key of the HTTP API. Name it, do not write it: ${reference("MAIL_API_KEY")}.`),
  api_base_url: address.default("").meta({
    description:
      "Where the HTTP API is, such as `https://api.eu.mailgun.net`. Empty: where the provider says.",
  }),
  mailgun_domain: z
    .string()
    .max(MAX_HOST_CHARACTERS)
    .regex(/^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)?$/, "must be a domain")
    .default("")
    .meta({ description: "Sending domain at Mailgun. Empty: the domain of the sender's address." }),
  postmark_message_stream: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, "must be the name of a message stream")
    .default("outbound")
    .meta({ maxLength: 64, description: "Message stream at Postmark." }),
  timeout_seconds: timeout(30, "from the connection to the server's last word"),
  retry_schedule_seconds: retrySchedule,
});
export type EmailNotificationConfig = z.output<typeof EmailNotificationConfig>;

export const WebhookNotificationConfig = z.strictObject({
  url: address.default("").meta({
    description: `Where failures are sent: an https address, or the name of a secret that holds one: ${reference("WEBHOOK_URL")}. Empty: nowhere.`,
  }),
  headers: z
    .record(HeaderName, HeaderValue)
    .refine((headers) => Object.keys(headers).length <= MAX_HEADERS, {
      message: `must have at most ${MAX_HEADERS} entries`,
    })
    .refine((headers) => hasNoDuplicates(Object.keys(headers).map((name) => name.toLowerCase())), {
      message: "a header is named twice (upper and lower case are the same)",
    })
    .default({ "Content-Type": "application/json" })
    .meta({
      secret: true,
      maxProperties: MAX_HEADERS,
      description: "Headers sent along. All values but that of `Content-Type` are treated as secrets.",
    }),
  method: z.enum(["POST", "PUT", "PATCH"]).default("POST").meta({ description: "Method of the request." }),
  preset: z.enum(WEBHOOK_PRESETS).default("cloudevents").meta({
    description:
      "Shape of the body: a CloudEvents 1.0 event, or what an incoming webhook of Slack or Discord, or PagerDuty's Events API v2, takes.",
  }),
  secret: secret(
    `Key that signs each request (Standard Webhooks): \`whsec_\` and base64. Name it, do not write it: ${reference("WEBHOOK_SECRET")}. Empty: unsigned.`,
  ),
  previous_secret: secret(
    "The key before, while receivers change to the new one: each request then carries both signatures.",
  ),
  routing_key: secret(`Integration key of a PagerDuty service: ${reference("PAGERDUTY_ROUTING_KEY")}.`),
  timeout_seconds: timeout(10, "answer included"),
  retry_schedule_seconds: retrySchedule,
});
export type WebhookNotificationConfig = z.output<typeof WebhookNotificationConfig>;
