/** Every provider whose HTTP API mail can go through. */
import type { EmailNotificationConfig } from "../../../contract/config/notification.ts";
import type { HttpRequest, Mail } from "../../transports.ts";
import { mailgunRequest } from "./mailgun.ts";
import { postmarkRefused, postmarkRequest } from "./postmark.ts";
import { resendRequest } from "./resend.ts";
import { sendgridRequest } from "./sendgrid.ts";

export type MailApiName = Exclude<EmailNotificationConfig["provider"], "smtp" | "cloudflare">;

export type MailApi = {
  /**
   * @param config with an `api_key` of printable ASCII, and an `api_base_url` that is empty or an address
   * @param id the same over all tries of a mail
   */
  request(mail: Mail, config: EmailNotificationConfig, id: string): HttpRequest;
  /** The recipients that will get nothing although the mail was taken. */
  refused?(answer: string): string[];
};

export const MAIL_APIS: Readonly<Record<MailApiName, MailApi>> = {
  resend: { request: resendRequest },
  postmark: { request: postmarkRequest, refused: postmarkRefused },
  sendgrid: { request: sendgridRequest },
  mailgun: { request: mailgunRequest },
};
