/**
 * The sections `failure_notification`, `email_notification` and `webhook_notification`: which
 * failures are notified, how they are grouped, and how each channel delivers messages.
 */
import * as z from "zod";
import { Severity } from "../failure.ts";
import { CHANNEL_NAMES, ChannelName } from "../notification.ts";
import {
  contradicts,
  DAY_SECONDS,
  HINTS,
  hasNoDuplicates,
  isSecretReference,
  line,
  reference,
  seconds,
} from "./values.ts";

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
/** Retries of one message: enough for a day with any sensible schedule. */
const MAX_RETRIES = 24;

const MailAddress = z
  .string()
  .max(MAX_ADDRESS_CHARACTERS)
  .regex(
    /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/,
    "must be a mail address such as ops@company.org",
  );

/** Headers of the connection (RFC 9110, section 7.6.1), and those that follow from the address and the body. */
const RESERVED_HEADER =
  /^(?:connection|content-length|host|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;

/** What a header of a webhook may be called (RFC 9110 `token`). */
const HeaderName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/, "must be the name of an HTTP header")
  .refine((name) => !RESERVED_HEADER.test(name), {
    message:
      "this header belongs to the connection and is set by the server (connection, content-length, host, keep-alive, proxy-*, te, trailer, transfer-encoding, upgrade); leave it out",
  });

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
    .meta({ unit: "seconds", description: `Time limit of one attempt, ${what}.` });

/** Seconds, then minutes, then hours: a short outage causes a short delay, and retries continue through a long one. */
const RETRY_SCHEDULE_SECONDS = [5, 30, 120, 600, 1800, 7200, 21_600];

const retrySchedule = z
  .array(seconds(0.1, DAY_SECONDS))
  .max(MAX_RETRIES)
  .default(RETRY_SCHEDULE_SECONDS)
  .meta({
    unit: "seconds",
    description:
      "Waits between the attempts to deliver a message, each up to a fifth longer by random jitter. After the last attempt the message is `dead` and can be redelivered by a call. An empty list: one attempt.",
  });

const minSeverity = z.union([Severity, z.null()]).default(null).meta({
  description: "Failures below this severity send no message through this channel. null: `min_severity`.",
});

export const FailureNotificationConfig = z
  .strictObject({
    enabled: z.boolean().default(true).meta({ description: "Whether messages about failures are sent." }),
    notification_types: z
      .array(ChannelName)
      .max(CHANNEL_NAMES.length)
      .refine(hasNoDuplicates, { message: "a type is listed twice" })
      .register(HINTS, { hint: 'for example ["log", "webhook"]' })
      .default(["log", "system"])
      .meta({
        description:
          "Channels in use: `log` the server's log, `email`, `webhook`, `system` the agents' mailboxes.",
      }),
    min_severity: Severity.default("warning").meta({
      description: "Failures below this severity are recorded and send no message.",
    }),
    channel_min_severity: z
      .strictObject({ log: minSeverity, email: minSeverity, webhook: minSeverity, system: minSeverity })
      .prefault({})
      .meta({ description: "Higher thresholds for single channels." }),
    group_wait_seconds: seconds(0, 3600).default(5).meta({
      unit: "seconds",
      description:
        "The first message about a new incident is sent once no failure has joined it for this long, and after six times this long at the latest.",
    }),
    group_interval_seconds: seconds(0.1, DAY_SECONDS).default(300).meta({
      unit: "seconds",
      description:
        "Shortest time between two messages of a channel about one incident, if something changed.",
    }),
    repeat_interval_seconds: seconds(1, 30 * DAY_SECONDS)
      .default(14_400)
      .meta({
        unit: "seconds",
        description: "Time between two messages of a channel about one incident, if nothing changed.",
      }),
    max_messages_per_interval: z.int().min(1).max(1000).default(5).meta({
      unit: "messages",
      description:
        "Limit of messages through one channel within `group_interval_seconds`. Further incidents wait and share one digest.",
    }),
    system_groups: z.enum(["all", "affected"]).default("all").meta({
      description:
        "Groups whose active agents get messages of the channel `system`: `all`, or only those `affected` by a failure.",
    }),
    dashboard_url: address.default("").meta({
      description: "Address of a page of yours that messages link to. Empty: no link.",
    }),
  })
  .superRefine(({ repeat_interval_seconds, group_interval_seconds }, context) => {
    const message = `must be at least \`group_interval_seconds\` (${group_interval_seconds})`;
    const isShorter = repeat_interval_seconds < group_interval_seconds;
    contradicts(context, isShorter, ["repeat_interval_seconds", message]);
  });
export type FailureNotificationConfig = z.output<typeof FailureNotificationConfig>;

export const EmailNotificationConfig = z.strictObject({
  recipients: z
    .array(MailAddress)
    .max(MAX_RECIPIENTS)
    .default([])
    .meta({ description: "Recipients of the emails. An empty list: no email is sent." }),
  provider: z.enum(MAIL_PROVIDERS).default("smtp").meta({
    description:
      "How emails are sent: by SMTP, by Cloudflare's binding `EMAIL`, or by the HTTP API of Resend, Postmark, SendGrid or Mailgun.",
  }),
  smtp_server: z
    .string()
    .max(MAX_HOST_CHARACTERS)
    .regex(/^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)?$/, "must be a host name or an IPv4 address")
    .default("")
    .meta({ description: "Host name of the email server, for `smtp`. Empty: no email is sent." }),
  smtp_port: z.int().min(1).max(65_535).default(587).meta({
    unit: "port",
    description: "Port 465 uses TLS from the first byte. On other ports the server must offer STARTTLS.",
  }),
  smtp_security: z.enum(["auto", "tls", "starttls"]).default("auto").meta({
    description: "`tls` or `starttls` on any port. `auto`: by the port. Email is never sent unencrypted.",
  }),
  username: line(MAX_ADDRESS_CHARACTERS)
    .default("")
    .meta({ description: "User name for the email server. Empty: no authentication." }),
  password: secret(
    `Password of \`username\`. Name a secret, do not write the password: ${reference("SMTP_PASSWORD")}.`,
  ),
  from: z
    .union([z.literal(""), MailAddress], { error: "must be a mail address, or empty" })
    .default("")
    .meta({
      maxLength: MAX_ADDRESS_CHARACTERS,
      description: "Address of the sender. Empty: `username`, if that is an address.",
    }),
  api_key: secret(`Key of the HTTP API. Name a secret, do not write the key: ${reference("MAIL_API_KEY")}.`),
  api_base_url: address.default("").meta({
    description:
      "Address of the HTTP API, such as `https://api.eu.mailgun.net`. Empty: the provider's default.",
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
  timeout_seconds: timeout(30, "from the connection to the server's last reply"),
  retry_schedule_seconds: retrySchedule,
});
export type EmailNotificationConfig = z.output<typeof EmailNotificationConfig>;

export const WebhookNotificationConfig = z.strictObject({
  url: address.default("").meta({
    description: `Address that messages are sent to: an https address, or a secret that contains one: ${reference("WEBHOOK_URL")}. Empty: no message is sent.`,
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
      description:
        "Headers of each request. All values except that of `Content-Type` are treated as secrets.",
    }),
  method: z
    .enum(["POST", "PUT", "PATCH"])
    .default("POST")
    .meta({ description: "HTTP method of each request." }),
  preset: z.enum(WEBHOOK_PRESETS).default("cloudevents").meta({
    description:
      "Format of the body: a CloudEvents 1.0 event, or the format of a Slack webhook, a Discord webhook or PagerDuty's Events API v2.",
  }),
  secret: secret(
    `Key that signs each request (Standard Webhooks): \`whsec_\` and base64. Name a secret, do not write the key: ${reference("WEBHOOK_SECRET")}. Empty: unsigned.`,
  ),
  previous_secret: secret(
    "The previous key, while receivers change to the new one. Each request then has a signature by each key.",
  ),
  routing_key: secret(`Integration key of a PagerDuty service: ${reference("PAGERDUTY_ROUTING_KEY")}.`),
  timeout_seconds: timeout(10, "including the answer"),
  retry_schedule_seconds: retrySchedule,
});
export type WebhookNotificationConfig = z.output<typeof WebhookNotificationConfig>;
