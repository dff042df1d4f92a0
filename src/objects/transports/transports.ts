/** How a Durable Object reaches other systems: `fetch`, sockets for SMTP, and Cloudflare's mail binding. */
import type {
  HttpOutcome,
  HttpRequest,
  Mail,
  MailOutcome,
  Transports,
} from "../../notifications/transports.ts";
import type { Env } from "../env.ts";
import { sendBySmtpApart } from "./smtp.ts";

/** As much of an answer's body as an error message can show. */
const BODY_START_BYTES = 1024;

/** The causes that workerd reports as an internal error when a connection is opened. */
const HIDDEN_REASONS = "unknown name, untrusted certificate, or a local address while those are closed";

export function transportsOf(env: Env): Transports {
  const { EMAIL: binding } = env;
  return {
    http: sendByHttp,
    smtp: sendBySmtpApart,
    cloudflareMail:
      binding === undefined ? null : (mail, timeoutMs) => sendByBinding(binding, mail, timeoutMs),
  };
}

async function sendByHttp(request: HttpRequest, timeoutMs: number): Promise<HttpOutcome> {
  const { url, method, headers, body } = request;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, { method, headers, body, redirect: "manual", signal });
    const outcome = {
      isAnswered: true as const,
      status: response.status,
      retryAfter: response.headers.get("Retry-After"),
      bodyStart: await startOf(response),
    };
    return outcome;
  } catch (error) {
    if (signal.aborted) return { isAnswered: false, reason: `no answer within ${timeoutMs / 1000} s` };
    // The platform's message may contain the URL, and a URL may be a secret.
    return { isAnswered: false, reason: `no connection (${kindOf(error)})` };
  }
}

/**
 * Reads the start of the body and leaves the rest, as a receiver may send without end. If the body stops or breaks off,
 * the part that came is enough: the status is known, and an accepted message must not be sent again.
 */
async function startOf(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size < BODY_START_BYTES) {
    const { done, value } = await reader.read().catch(() => ({ done: true as const, value: undefined }));
    if (done) break;
    chunks.push(value);
    size += value.byteLength;
  }
  reader.cancel().catch(() => {
    // The stream is closed already.
  });
  const bytes = new Uint8Array(await new Blob(chunks).arrayBuffer());
  return new TextDecoder().decode(bytes.subarray(0, BODY_START_BYTES));
}

/** What went wrong, by the few messages that workerd and Cloudflare have. */
function kindOf(error: unknown): string {
  const words = String(error).toLowerCase();
  // workerd writes the cause to its own log, under a random reference, in which no message is to be searched.
  const reference = /internal error; reference = ([a-z0-9]{1,64})/.exec(words)?.[1];
  if (reference !== undefined) return `${HIDDEN_REASONS}; the server's log says which at ${reference}`;
  if (words.includes("refused")) return "refused";
  if (words.includes("dns") || words.includes("resolve")) return "the host name is not known";
  if (words.includes("certificate") || words.includes("tls") || words.includes("ssl")) {
    return "the certificate is not trusted";
  }
  if (words.includes("not permitted") || words.includes("not allowed") || words.includes("restricted")) {
    return "local addresses are closed: ALLOW_LOCAL_TARGETS opens them";
  }
  return words.includes("connection lost") ? "refused, or it broke off" : "it broke off";
}

async function sendByBinding(binding: SendEmail, mail: Mail, timeoutMs: number): Promise<MailOutcome> {
  let timer: number | null = null;
  const late = new Promise<MailOutcome>((resolve) => {
    timer = setTimeout(
      () =>
        resolve({ isAccepted: false, reason: `no answer within ${timeoutMs / 1000} s`, isPermanent: false }),
      timeoutMs,
    );
  });
  const { from, to, subject, text, html } = mail;
  const sent = binding.send({ from, to: [...to], subject, text, html }).then(
    (): MailOutcome => ({ isAccepted: true, refused: [] }),
    (error: unknown): MailOutcome => ({
      isAccepted: false,
      reason: String(error).slice(0, 300),
      isPermanent: false,
    }),
  );
  try {
    return await Promise.race([sent, late]);
  } finally {
    clearTimeout(timer);
  }
}
