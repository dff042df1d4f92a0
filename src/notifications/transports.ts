/**
 * How channels reach the world. The host provides it: Durable Objects with `fetch` and sockets,
 * a simulation with a network of its own. Expected failures are values; every call ends within
 * its time, whatever the other side does.
 */

export type HttpRequest = {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

/** What came back; redirects are not followed. */
export type HttpOutcome =
  | {
      readonly isAnswered: true;
      readonly status: number;
      /** The header `Retry-After` as it came, or null. */
      readonly retryAfter: string | null;
      /** The first characters of the body, for an error message. */
      readonly bodyStart: string;
    }
  | { readonly isAnswered: false; readonly reason: string };

export type Mail = {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string;
  readonly html: string;
};

export type SmtpServer = {
  readonly host: string;
  /** 465 speaks TLS from the first byte; every other port must offer STARTTLS. */
  readonly port: number;
  /** Overrides what the port says: `tls` speaks it from the first byte, `starttls` must offer it. */
  readonly security?: "tls" | "starttls";
  /** Empty: nobody signs in. */
  readonly username: string;
  readonly password: string;
};

export type MailOutcome =
  | {
      readonly isAccepted: true /** Recipients that the server refused, while it took others. */;
      readonly refused: readonly string[];
    }
  | {
      readonly isAccepted: false;
      readonly reason: string /** Trying again cannot help. */;
      readonly isPermanent: boolean;
    };

export interface Transports {
  http(request: HttpRequest, timeoutMs: number): Promise<HttpOutcome>;
  smtp(server: SmtpServer, mail: Mail, timeoutMs: number): Promise<MailOutcome>;
  /** Cloudflare's own mail binding; null where there is none. */
  readonly cloudflareMail: ((mail: Mail, timeoutMs: number) => Promise<MailOutcome>) | null;
}
