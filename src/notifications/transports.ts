/**
 * How channels reach other hosts. The host of the service provides them: Durable Objects with `fetch` and sockets, a
 * simulation with a network of its own. Expected failures are values, and every call ends within its timeout.
 */

export type HttpRequest = {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

/** The answer; redirects are not followed. */
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
  /** 465 means TLS from the first byte; with every other port the server must offer STARTTLS. */
  readonly port: number;
  /** Overrides the port: `tls` from the first byte, `starttls` must be offered. */
  readonly security?: "tls" | "starttls";
  /** Empty: without authentication. */
  readonly username: string;
  readonly password: string;
};

export type MailOutcome =
  | {
      readonly isAccepted: true;
      /** Recipients that the server refused, while it took others. */
      readonly refused: readonly string[];
    }
  | {
      readonly isAccepted: false;
      readonly reason: string;
      /** Another attempt cannot succeed. */
      readonly isPermanent: boolean;
    };

export interface Transports {
  http(request: HttpRequest, timeoutMs: number): Promise<HttpOutcome>;
  smtp(server: SmtpServer, mail: Mail, timeoutMs: number): Promise<MailOutcome>;
  /** Cloudflare's mail binding; null if it is not configured. */
  readonly cloudflareMail: ((mail: Mail, timeoutMs: number) => Promise<MailOutcome>) | null;
}
