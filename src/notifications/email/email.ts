/**
 * The channel `email`: sends each message as one mail, by SMTP, by Cloudflare's binding or by the HTTP API of a provider,
 * as `email_notification` says. Nothing is sent to an address that validation/webhook-target.ts refuses.
 */
import type { EmailNotificationConfig } from "../../contract/config/notification.ts";
import { refuseHost, refuseTarget } from "../../validation/webhook-target.ts";
import { type Channel, type ChannelTools, type Delivery, failed } from "../channel.ts";
import { retryAfterMs } from "../retry-after.ts";
import { withoutSecrets } from "../secrets.ts";
import type { HttpOutcome, HttpRequest, Mail } from "../transports.ts";
import { deliveryByApi, deliveryByMail } from "./delivery-result.ts";
import { mailOf } from "./email-message.ts";
import { MAIL_APIS, type MailApiName } from "./providers/registry.ts";

export const emailChannel: Channel = {
  name: "email",
  async deliver(message, tools) {
    const config = tools.config.email_notification;
    const written = mailOf(message, config);
    if (!written.ok) return notSetUp(written.error);
    switch (config.provider) {
      case "smtp":
        return bySmtp(written.mail, config, tools);
      case "cloudflare":
        return byCloudflare(written.mail, config, tools);
      default:
        return byApi(config.provider, { mail: written.mail, id: message.id, config }, tools);
    }
  },
};

async function bySmtp(mail: Mail, config: EmailNotificationConfig, tools: ChannelTools): Promise<Delivery> {
  const { smtp_server, smtp_port, smtp_security, username, password } = config;
  if (smtp_server === "") return notSetUp("set `email_notification.smtp_server`, or another `provider`");
  const refusal = refuseHost(smtp_server, tools);
  if (refusal !== null) return notSetUp(`\`email_notification.smtp_server\`: ${refusal}`);
  const server = {
    host: smtp_server,
    port: smtp_port,
    username,
    password,
    ...(smtp_security === "auto" ? {} : { security: smtp_security }),
  };
  return deliveryByMail("smtp", await tools.transports.smtp(server, mail, timeoutMs(config)));
}

async function byCloudflare(
  mail: Mail,
  config: EmailNotificationConfig,
  { transports }: ChannelTools,
): Promise<Delivery> {
  if (transports.cloudflareMail === null) {
    return notSetUp(
      "add the send_email binding EMAIL to the Worker, or set another `email_notification.provider`",
    );
  }
  return deliveryByMail("cloudflare", await transports.cloudflareMail(mail, timeoutMs(config)));
}

/** @property id the same in all attempts */
type ApiMail = { mail: Mail; id: string; config: EmailNotificationConfig };

async function byApi(
  name: MailApiName,
  { mail, id, config }: ApiMail,
  tools: ChannelTools,
): Promise<Delivery> {
  const { api_key, api_base_url } = config;
  if (api_key === "") return notSetUp(`set \`email_notification.api_key\` to the key of ${name}`);
  // A file or a shell may add characters that nobody sees, and that no header can contain.
  if (!/^[!-~]+$/.test(api_key)) {
    return notSetUp(
      "`email_notification.api_key` has a space, a line break or a character outside of ASCII; set the key alone",
    );
  }
  if (api_base_url !== "" && !URL.canParse(api_base_url)) {
    return notSetUp(
      "`email_notification.api_base_url` is not a URL; set one such as https://api.example.com",
    );
  }
  const api = MAIL_APIS[name];
  const request = api.request(mail, config, id);
  const refusal = refuseTarget(request.url, tools);
  if (refusal !== null) return notSetUp(`\`email_notification.api_base_url\`: ${refusal}`);
  const outcome = withoutKey(await tools.transports.http(request, timeoutMs(config)), request, api_key);
  return deliveryByApi(name, {
    outcome,
    retryAfterMs: outcome.isAnswered ? retryAfterMs(outcome.retryAfter, tools.nowMs) : null,
    refused: outcome.isAnswered ? (api.refused?.(outcome.bodyStart) ?? []) : [],
  });
}

/** A provider may repeat the request in its answer. The answer is cut later, so the key is removed here, while it is whole. */
function withoutKey(outcome: HttpOutcome, { headers }: HttpRequest, apiKey: string): HttpOutcome {
  if (!outcome.isAnswered) return outcome;
  const keys = Object.entries(headers)
    .filter(([name]) => /auth|token/i.test(name))
    .flatMap(([, value]) => value.split(" "));
  return { ...outcome, bodyStart: withoutSecrets(outcome.bodyStart, [apiKey, ...keys]) };
}

/** Another attempt cannot succeed before the configuration changes; then the message can be redelivered. */
function notSetUp(error: string): Delivery {
  return failed(error, { isPermanent: true });
}

function timeoutMs({ timeout_seconds }: EmailNotificationConfig): number {
  return Math.round(timeout_seconds * 1000);
}
