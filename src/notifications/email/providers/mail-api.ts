/** What the HTTP APIs of mail providers have in common. */
import type { EmailNotificationConfig } from "../../../contract/config/notification.ts";
import type { HttpRequest, Mail } from "../../transports.ts";

export type MailApi = {
  /**
   * @param config with an `api_key` of printable ASCII, and an `api_base_url` that is empty or a URL
   * @param id the same in all attempts to send a mail
   */
  request(mail: Mail, config: EmailNotificationConfig, id: string): HttpRequest;
  /** The recipients that the provider does not deliver to, although it took the mail. */
  refused?(answer: string): string[];
};

/**
 * The URL of a call.
 * @param base where the API is, a URL; its path and its query are kept
 * @example endpoint("https://proxy.test/mail/", "/v3/send") === "https://proxy.test/mail/v3/send"
 */
export function endpoint(base: string, path: string): string {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}${path}`;
  return url.href;
}
