/**
 * The dialogue with a mail server that delivers one mail.
 *
 *   port 465:  connect ─────────────────────────────→ TLS ─┐
 *   any other: connect → greeting → EHLO → STARTTLS → TLS ─┴→ sign in → send
 *
 * nodemailer composes the mail and leads the dialogue, but only once the connection is secure. By itself it would connect
 * by IP address, which no certificate names, and start TLS by means that the platform does not have. So the connection is
 * opened here, by host name: the platform checks the certificate against that name, and nothing here can switch that off.
 *
 * Before TLS nothing is sent but EHLO and STARTTLS, and no answer counts as permanent, since anybody on the way may have
 * written it.
 */
import { connect } from "cloudflare:sockets";
import MailComposer from "nodemailer/lib/mail-composer";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { Mail, MailOutcome, SmtpServer } from "../../notifications/transports.ts";
import { ignoreError, PlainDialogue, REPLY_LIMIT_BYTES, SecureStream } from "./smtp-streams.ts";

/** The port of submission over TLS (RFC 8314). */
const TLS_PORT = 465;
/** What a client without a name calls itself (RFC 5321, 4.1.3); servers that ask for a password accept it. */
const CLIENT_NAME = "[127.0.0.1]";
/** Enough for the sentence of a server. */
const REASON_LIMIT_CHARACTERS = 300;
const CONTROL_CHARACTERS = /[\p{Cc}\u2028\u2029]+/gu;

/** The step of a delivery, as in "gave up while …". */
type Step =
  | "connecting"
  | "waiting for its greeting"
  | "asking for STARTTLS"
  | "starting TLS"
  | "signing in"
  | "sending the mail";

/** A failure, as nodemailer and the platform describe it. */
type Failure = {
  readonly message?: string;
  readonly code?: string;
  /** `API`: nodemailer itself refused, and sent nothing. */
  readonly command?: string;
  /** The server's answer, if the server refused. */
  readonly response?: string;
  readonly responseCode?: number;
  readonly permanent?: boolean;
};

export const speaksTlsAtOnce = (port: number): boolean => port === TLS_PORT;

export const hasControlCharacter = (text: string): boolean => text.search(CONTROL_CHARACTERS) >= 0;

/** Delivers one mail, over a connection of its own. */
export class SmtpDelivery {
  readonly #server: SmtpServer;
  readonly #mail: Mail;
  readonly #isTls: boolean;
  #step: Step = "connecting";
  #socket: Socket | null = null;
  #stream: SecureStream | null = null;
  #dialogue: SMTPConnection | null = null;
  #isOver = false;

  constructor(server: SmtpServer, mail: Mail) {
    this.#server = server;
    this.#mail = mail;
    const { port, security } = server;
    this.#isTls = security === undefined ? speaksTlsAtOnce(port) : security === "tls";
  }

  /** Never rejects. */
  async run(timeoutMs: number): Promise<MailOutcome> {
    try {
      const refusal = await this.#openSecureStream();
      if (refusal !== null) return this.#failed(refusal, false);
      return await this.#send(timeoutMs);
    } catch (error) {
      return this.#broken(error as Failure);
    }
  }

  timedOut(timeoutMs: number): MailOutcome {
    return this.#failed(`gave up after ${timeoutMs} ms while ${this.#step}`, false);
  }

  /** Ends every step that is still under way; its failure is ignored. */
  end(): void {
    this.#isOver = true;
    this.#dialogue?.close();
    this.#stream?.destroy();
    if (this.#socket !== null) void this.#socket.close().catch(ignoreError);
  }

  /** @returns why there is no secure connection, or null once there is one */
  async #openSecureStream(): Promise<string | null> {
    const { host: hostname, port } = this.#server;
    const secureTransport = this.#isTls ? "on" : "starttls";
    const socket = this.#keep(connect({ hostname, port }, { secureTransport, allowHalfOpen: false }));
    await socket.opened;
    if (this.#isTls) {
      this.#stream = new SecureStream(socket);
      return null;
    }

    const refusal = await this.#askForTls(new PlainDialogue(socket));
    if (refusal !== null) return refusal;
    this.#step = "starting TLS";
    const secured = this.#keep(socket.startTls());
    await secured.opened;
    this.#stream = new SecureStream(secured);
    // After STARTTLS a server does not greet again, and nodemailer waits for a greeting.
    this.#stream.push("220 secured\r\n");
    return null;
  }

  /** @returns why TLS cannot start, or null if it can */
  async #askForTls(plain: PlainDialogue): Promise<string | null> {
    this.#step = "waiting for its greeting";
    const greeting = await plain.reply();
    if (!greeting.startsWith("220")) return `greeted with ${greeting}`;
    this.#step = "asking for STARTTLS";
    const extensions = await plain.ask(`EHLO ${CLIENT_NAME}`);
    if (!/^250[ -]STARTTLS\s*$/im.test(extensions)) return "does not offer STARTTLS, so nothing was sent";
    const answer = await plain.ask("STARTTLS");
    if (!answer.startsWith("220")) return `refused STARTTLS, so nothing was sent: ${answer}`;
    // Data that came in the clear would be read as if it came over TLS: an attacker could inject answers.
    if (!plain.release()) return "went on in the clear after STARTTLS, so nothing was sent";
    return null;
  }

  async #send(timeoutMs: number): Promise<MailOutcome> {
    const message = new MailComposer({
      from: this.#mail.from,
      to: [...this.#mail.to],
      subject: this.#mail.subject.replace(CONTROL_CHARACTERS, " "),
      text: this.#mail.text,
      html: this.#mail.html,
      disableFileAccess: true,
      disableUrlAccess: true,
    }).compile();
    const source = await message.build();
    if (this.#isOver) return this.#failed("was abandoned", false);

    const dialogue = new SMTPConnection({
      connection: this.#stream,
      secure: true,
      secured: true,
      host: this.#server.host,
      port: this.#server.port,
      name: CLIENT_NAME,
      maxResponseSize: REPLY_LIMIT_BYTES,
      // Its own time limits never take effect: the caller limits the whole delivery.
      connectionTimeout: 2 * timeoutMs,
      greetingTimeout: 2 * timeoutMs,
      // Nor does it wait for the server's answer to QUIT.
      socketCloseTimeout: 0,
    });
    this.#dialogue = dialogue;
    const broken = new Promise<never>((_, reject) => dialogue.on("error", reject));
    const step = <T>(start: (done: (error?: unknown, result?: T) => void) => void): Promise<T> =>
      Promise.race([
        broken,
        new Promise<T>((resolve, reject) => {
          start((error, result) => (error ? reject(error) : resolve(result as T)));
        }),
      ]);

    this.#step = "waiting for its greeting";
    await step((done) => dialogue.connect(done));
    this.#step = "signing in";
    const { username: user, password: pass } = this.#server;
    if (user !== "") {
      if (!dialogue.allowsAuth) return this.#failed("offers no sign-in (AUTH)", false);
      await step((done) => dialogue.login({ user, pass }, done));
    }
    this.#step = "sending the mail";
    const info = await step<{ rejected: string[] }>((done) =>
      dialogue.send(message.getEnvelope(), source, done),
    );
    return { isAccepted: true, refused: info.rejected };
  }

  #keep(socket: Socket): Socket {
    this.#socket = socket;
    // The reader and the writer report what breaks; these promises would report it again, as an unhandled rejection.
    socket.opened.catch(ignoreError);
    socket.closed.catch(ignoreError);
    return socket;
  }

  #broken(failure: Failure): MailOutcome {
    // nodemailer itself refuses addresses and credentials that no server could take.
    const isUnusable = failure.command === "API" && failure.code !== "ECONNECTION";
    const isPermanent = failure.permanent ?? isUnusable;
    const { code, message, response, responseCode } = failure;
    if (response === undefined) {
      return this.#failed(
        this.#whyLost(code === "ECONNECTION" ? "it closed the connection" : message),
        isPermanent,
      );
    }
    // The answer to a sign-in may repeat the credentials, in any form.
    if (this.#step === "signing in")
      return this.#failed(`refused the sign-in (${responseCode})`, isPermanent);
    return this.#failed(`refused while ${this.#step}: ${response}`, isPermanent);
  }

  /** The platform does not distinguish a certificate that it does not trust from other failures. */
  #whyLost(message = "no reason is known"): string {
    if (this.#step === "connecting") {
      return `cannot be reached${this.#isTls ? ", or has no certificate for this name that is trusted" : ""}: ${message}`;
    }
    if (this.#step === "starting TLS") {
      return `could not start TLS; it may have no certificate for this name that is trusted: ${message}`;
    }
    return `failed while ${this.#step}: ${message}`;
  }

  #failed(what: string, isPermanent: boolean): MailOutcome {
    const { host, port, username, password } = this.#server;
    let reason = `${host}:${port} ${what}`;
    // A server may repeat what it received.
    for (const secret of credentialForms(username, password)) reason = reason.replaceAll(secret, "…");
    reason = reason.replace(CONTROL_CHARACTERS, " ").trim();
    return {
      isAccepted: false,
      reason: reason.slice(0, REASON_LIMIT_CHARACTERS).toWellFormed(),
      isPermanent,
    };
  }
}

/** As they are typed, and as AUTH PLAIN and AUTH LOGIN send them; the longest first, since one may contain another. */
function credentialForms(username: string, password: string): string[] {
  const plain = [password, username].filter((credential) => credential !== "");
  const coded = [...plain, `\0${username}\0${password}`].flatMap((text) => {
    const code = btoa(String.fromCharCode(...new TextEncoder().encode(text)));
    return [code, code.replace(/=+$/, "")];
  });
  return [...plain, ...coded].sort((one, other) => other.length - one.length);
}
