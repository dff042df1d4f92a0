/**
 * Mail by SMTP, over the platform's sockets, each delivery in a context of its own (see `SmtpClient`). Every call ends
 * within its time limit, and its socket ends with the call, or at the latest with the context.
 */
import { exports, WorkerEntrypoint } from "cloudflare:workers";
import type { Mail, MailOutcome, SmtpServer, Transports } from "../../notifications/transports.ts";
import { hasControlCharacter, SmtpDelivery } from "./smtp-delivery.ts";

/** @param timeoutMs from the first step to the last */
export async function sendBySmtp(server: SmtpServer, mail: Mail, timeoutMs: number): Promise<MailOutcome> {
  if ([mail.from, ...mail.to].some(hasControlCharacter)) {
    return { isAccepted: false, reason: "an address contains a control character", isPermanent: true };
  }
  const delivery = new SmtpDelivery(server, mail);
  const late = Promise.withResolvers<MailOutcome>();
  const timer = setTimeout(() => late.resolve(delivery.timedOut(timeoutMs)), timeoutMs);
  try {
    return await Promise.race([delivery.run(timeoutMs), late.promise]);
  } finally {
    clearTimeout(timer);
    delivery.end();
  }
}

/**
 * Where `sendBySmtp` should run. The platform cannot close a socket in the middle of a TLS handshake, or one with data that
 * the server does not take: such a socket lasts as long as the context that opened it, in an object for as long as the
 * object. The call of an entrypoint is a context of its own, and ends with the call.
 */
export class SmtpClient extends WorkerEntrypoint {
  send(...delivery: Parameters<Transports["smtp"]>): Promise<MailOutcome> {
    return sendBySmtp(...delivery);
  }
}

/** `sendBySmtp` in a context of its own. The Worker's main module must export `SmtpClient`. */
export const sendBySmtpApart: Transports["smtp"] = (...delivery) =>
  (exports as unknown as { readonly SmtpClient: SmtpClient }).SmtpClient.send(...delivery);
