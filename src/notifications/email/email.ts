/**
 * The channel `email`: one mail a notice, by SMTP, by Cloudflare's binding or by the HTTP API of a
 * provider, as `email_notification` says. Nothing is sent to a place that the guard refuses.
 */

import type { EmailNotificationConfig } from "../../contract/config/notification.ts";
import { refuseHost, refuseTarget } from "../../validation/webhook-target.ts";
import { type Channel, type ChannelTools, type Delivery, failed } from "../channel.ts";
import { retryAfterMs } from "../retry-after.ts";
import { withoutSecrets } from "../secrets.ts";
import type { HttpOutcome, HttpRequest, Mail } from "../transports.ts";
import { deliveryByApi, deliveryByMail } from "./delivery-result.ts";
import { mailOf } from "./email-message.ts";
import { MAIL_APIS, type MailApiName } from "./providers/provider.ts";

export const emailChannel: Channel = {
  name: "email",
  async deliver(notice, tools) {
    const config = tools.config.email_notification;
    const written = mailOf(notice, config);
    if (!written.ok) return notSetUp(written.error);
    switch (config.provider) {
      case "smtp":
        return bySmtp(written.mail, config, tools);
      case "cloudflare":
        return byCloudflare(written.mail, config, tools);
      default:
        return byApi(config.provider, written.mail, notice.id, config, tools);
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

async function byApi(
  name: MailApiName,
  mail: Mail,
  id: string,
  config: EmailNotificationConfig,
  tools: ChannelTools,
): Promise<Delivery> {
  const { api_key, api_base_url } = config;
  if (api_key === "") return notSetUp(`set \`email_notification.api_key\` to the key of ${name}`);
  // What a file or a shell adds to a secret unseen: no header can carry it.
  if (!/^[!-~]+$/.test(api_key)) {
    return notSetUp("`email_notification.api_key` has a space, a line break or a letter that no key has");
  }
  if (api_base_url !== "" && !URL.canParse(api_base_url)) {
    return notSetUp("`email_notification.api_base_url` is not an address");
  }
  const api = MAIL_APIS[name];
  const request = api.request(mail, config, id);
  const refusal = refuseTarget(request.url, tools);
  if (refusal !== null) return notSetUp(`\`email_notification.api_base_url\`: ${refusal}`);
  const outcome = withoutKey(await tools.transports.http(request, timeoutMs(config)), request, api_key);
  const asked = outcome.isAnswered ? retryAfterMs(outcome.retryAfter, tools.nowMs) : null;
  const refused = outcome.isAnswered ? (api.refused?.(outcome.bodyStart) ?? []) : [];
  return deliveryByApi(name, outcome, asked, refused);
}

/** A provider may repeat what it was asked with, and what is shown of its answer is cut: a key is taken out first. */
function withoutKey(outcome: HttpOutcome, { headers }: HttpRequest, apiKey: string): HttpOutcome {
  if (!outcome.isAnswered) return outcome;
  const keys = Object.entries(headers)
    .filter(([name]) => /auth|token/i.test(name))
    .flatMap(([, value]) => value.split(" "));
  return { ...outcome, bodyStart: withoutSecrets(outcome.bodyStart, [apiKey, ...keys]) };
}

/** Only a change of the configuration can help, and after it the message can be redelivered. */
function notSetUp(error: string): Delivery {
  return failed(error, { isPermanent: true });
}

function timeoutMs({ timeout_seconds }: EmailNotificationConfig): number {
  return Math.round(timeout_seconds * 1000);
}
