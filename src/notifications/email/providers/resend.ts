/** A mail for the API of Resend: https://resend.com/docs/api-reference/emails/send-email */
import type { EmailNotificationConfig } from "../../../contract/config/notification.ts";
import type { HttpRequest, Mail } from "../../transports.ts";
import { endpoint } from "./mail-api.ts";

/** @param id the same in all attempts: within 24 hours Resend sends one mail for each id */
export function resendRequest(mail: Mail, config: EmailNotificationConfig, id: string): HttpRequest {
  return {
    url: endpoint(config.api_base_url || "https://api.resend.com", "/emails"),
    method: "POST",
    headers: {
      Authorization: `Bearer ${config.api_key}`,
      "Content-Type": "application/json",
      "Idempotency-Key": id,
    },
    body: JSON.stringify({
      from: mail.from,
      to: mail.to,
      subject: mail.subject,
      text: mail.text,
      html: mail.html,
    }),
  };
}
