/** A mail for the API of Postmark: https://postmarkapp.com/developer/api/email-api */
import type { EmailNotificationConfig } from "../../../contract/config/notification.ts";
import type { HttpRequest, Mail } from "../../transports.ts";
import { endpoint } from "./mail-api.ts";

export function postmarkRequest(mail: Mail, config: EmailNotificationConfig): HttpRequest {
  return {
    url: endpoint(config.api_base_url || "https://api.postmarkapp.com", "/email"),
    method: "POST",
    headers: {
      Accept: "application/json",
      "Content-Type": "application/json",
      "X-Postmark-Server-Token": config.api_key,
    },
    body: JSON.stringify({
      From: mail.from,
      To: mail.to.join(","),
      Subject: mail.subject,
      TextBody: mail.text,
      HtmlBody: mail.html,
      MessageStream: config.postmark_message_stream,
    }),
  };
}

/** Postmark takes a mail although some recipients are inactive after a bounce, and names these in its answer. */
export function postmarkRefused(answer: string): string[] {
  const [, addresses] = /these inactive addresses: ([^"\\]+)/i.exec(answer) ?? [];
  if (addresses === undefined) return [];
  return addresses
    .split(",")
    .map((address) => address.trim().replace(/\.$/, ""))
    .filter((address) => address !== "");
}
