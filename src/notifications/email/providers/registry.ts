/** Every mail provider with an HTTP API, by its name in the configuration. */
import type { EmailNotificationConfig } from "../../../contract/config/notification.ts";
import type { MailApi } from "./mail-api.ts";
import { mailgunRequest } from "./mailgun.ts";
import { postmarkRefused, postmarkRequest } from "./postmark.ts";
import { resendRequest } from "./resend.ts";
import { sendgridRequest } from "./sendgrid.ts";

export type MailApiName = Exclude<EmailNotificationConfig["provider"], "smtp" | "cloudflare">;

export const MAIL_APIS: Readonly<Record<MailApiName, MailApi>> = {
  resend: { request: resendRequest },
  postmark: { request: postmarkRequest, refused: postmarkRefused },
  sendgrid: { request: sendgridRequest },
  mailgun: { request: mailgunRequest },
};
