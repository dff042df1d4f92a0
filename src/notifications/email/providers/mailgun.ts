/** A mail for the API of Mailgun: https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages */
import type { EmailNotificationConfig } from "../../../contract/config/notification.ts";
import type { HttpRequest, Mail } from "../../transports.ts";
import { endpoint } from "./mail-api.ts";

export function mailgunRequest(mail: Mail, config: EmailNotificationConfig): HttpRequest {
  const domain = config.mailgun_domain || mail.from.slice(mail.from.lastIndexOf("@") + 1);
  return {
    url: endpoint(
      config.api_base_url || "https://api.mailgun.net",
      `/v3/${encodeURIComponent(domain)}/messages`,
    ),
    method: "POST",
    headers: {
      Authorization: `Basic ${btoa(`api:${config.api_key}`)}`,
      "Content-Type": "application/x-www-form-urlencoded",
    },
    body: new URLSearchParams({
      from: mail.from,
      to: mail.to.join(","),
      subject: mail.subject,
      text: mail.text,
      html: mail.html,
    }).toString(),
  };
}
