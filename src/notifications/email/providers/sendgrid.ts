/** A mail for the API of SendGrid: https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send */
import type { EmailNotificationConfig } from "../../../contract/config/notification.ts";
import type { HttpRequest, Mail } from "../../transports.ts";
import { endpoint } from "./mail-api.ts";

export function sendgridRequest(mail: Mail, config: EmailNotificationConfig): HttpRequest {
  return {
    url: endpoint(config.api_base_url || "https://api.sendgrid.com", "/v3/mail/send"),
    method: "POST",
    headers: { Authorization: `Bearer ${config.api_key}`, "Content-Type": "application/json" },
    body: JSON.stringify({
      personalizations: [{ to: mail.to.map((email) => ({ email })) }],
      from: { email: mail.from },
      subject: mail.subject,
      // SendGrid requires plain text before HTML.
      content: [
        { type: "text/plain", value: mail.text },
        { type: "text/html", value: mail.html },
      ],
    }),
  };
}
