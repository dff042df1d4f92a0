/**
 * Mail by SMTP, over the platform's sockets.
 *
 *   port 465:  connect ─────────────────────────────→ TLS ─┐
 *   any other: connect → greeting → EHLO → STARTTLS → TLS ─┴→ sign in → send
 *
 * nodemailer composes the mail and leads the conversation, but only once the line is secure. Left
 * to itself it would connect by IP address, which no certificate names, and start TLS by means
 * that the platform does not have. So the line is opened here, by host name: the platform checks
 * the certificate against that name, and nothing here can switch that off.
 *
 * Kept true: before TLS nothing is said but EHLO and STARTTLS, and nothing that is heard is taken
 * as final, since anybody may have said it. Every call ends within its time, and its socket with it,
 * or at the latest with its context (see `SmtpClient`).
 */
import { connect } from "cloudflare:sockets";
import { exports, WorkerEntrypoint } from "cloudflare:workers";
// biome-ignore lint/style/noRestrictedImports: nodemailer talks over a stream of Node's and nothing else.
import { Duplex } from "node:stream";
import MailComposer from "nodemailer/lib/mail-composer";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { Mail, MailOutcome, SmtpServer, Transports } from "../../notifications/transports.ts";

/** The port of submission over TLS (RFC 8314). */
const TLS_PORT = 465;
/** What a client without a name calls itself (RFC 5321, 4.1.3); servers that ask for a password do not mind. */
const CLIENT_NAME = "[127.0.0.1]";
/** A reply is a few lines of at most 512 bytes (RFC 5321); whoever sends more is no mail server. */
const REPLY_LIMIT_BYTES = 64 * 1024;
/** Enough for a server's sentence, and not for its essay. */
const REASON_LIMIT_CHARACTERS = 300;
const CONTROL_CHARACTERS = /[\p{Cc}\u2028\u2029]+/gu;

/** Where a delivery stands, as in "gave up while …". */
type Step =
  | "connecting"
  | "waiting for its greeting"
  | "asking for STARTTLS"
  | "starting TLS"
  | "signing in"
  | "sending the mail";

/** What nodemailer and the platform say of a failure. */
type Failure = {
  readonly message?: string;
  readonly code?: string;
  /** `API`: nodemailer itself refused, and asked nobody. */
  readonly command?: string;
  /** The server's words, if it was the server that refused. */
  readonly response?: string;
  readonly responseCode?: number;
  readonly permanent?: boolean;
};

export const speaksTlsAtOnce = (port: number): boolean => port === TLS_PORT;

/** @param timeoutMs from the first step to the last, whatever the server does */
export async function sendBySmtp(server: SmtpServer, mail: Mail, timeoutMs: number): Promise<MailOutcome> {
  if ([mail.from, ...mail.to].some((address) => address.search(CONTROL_CHARACTERS) >= 0)) {
    return { isAccepted: false, reason: "an address contains a control character", isPermanent: true };
  }
  const delivery = new Delivery(server, mail);
  const late = Promise.withResolvers<MailOutcome>();
  const timer = setTimeout(() => late.resolve(delivery.gaveUp(timeoutMs)), timeoutMs);
  try {
    return await Promise.race([delivery.run(timeoutMs), late.promise]);
  } finally {
    clearTimeout(timer);
    delivery.end();
  }
}

/**
 * Where `sendBySmtp` should run. The platform cannot close a socket in the middle of a TLS handshake, or with
 * words in it that the server does not take: such a socket lasts as long as the context that opened it, in
 * an object for as long as the object. The call of an entrypoint is a context of its own, and ends with it.
 */
export class SmtpClient extends WorkerEntrypoint {
  send(...delivery: Parameters<Transports["smtp"]>): Promise<MailOutcome> {
    return sendBySmtp(...delivery);
  }
}

/** `sendBySmtp` in a context of its own. The Worker's main module must export `SmtpClient`. */
export const sendBySmtpApart: Transports["smtp"] = (...delivery) =>
  (exports as unknown as { readonly SmtpClient: SmtpClient }).SmtpClient.send(...delivery);

/** One mail on its way, over a connection of its own. */
class Delivery {
  readonly #server: SmtpServer;
  readonly #mail: Mail;
  readonly #isTls: boolean;
  #step: Step = "connecting";
  #socket: Socket | null = null;
  #line: Line | null = null;
  #conversation: SMTPConnection | null = null;
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
      const refusal = await this.#openLine();
      if (refusal !== null) return this.#failed(refusal, false);
      return await this.#converse(timeoutMs);
    } catch (error) {
      return this.#broken(error as Failure);
    }
  }

  gaveUp(timeoutMs: number): MailOutcome {
    return this.#failed(`gave up after ${timeoutMs} ms while ${this.#step}`, false);
  }

  /** Whatever is still under way fails by it, and is heard by nobody. */
  end(): void {
    this.#isOver = true;
    this.#conversation?.close();
    this.#line?.destroy();
    if (this.#socket !== null) void this.#socket.close().catch(ignore);
  }

  /** @returns why there is no secure line, or null once there is one */
  async #openLine(): Promise<string | null> {
    const { host: hostname, port } = this.#server;
    const secureTransport = this.#isTls ? "on" : "starttls";
    const socket = this.#keep(connect({ hostname, port }, { secureTransport, allowHalfOpen: false }));
    await socket.opened;
    if (this.#isTls) {
      this.#line = new Line(socket);
      return null;
    }

    const refusal = await this.#askForTls(new PlainTalk(socket));
    if (refusal !== null) return refusal;
    this.#step = "starting TLS";
    const secured = this.#keep(socket.startTls());
    await secured.opened;
    this.#line = new Line(secured);
    // After STARTTLS a server does not greet again, and nodemailer waits for a greeting.
    this.#line.push("220 secured\r\n");
    return null;
  }

  /** @returns why TLS cannot start, or null if it can */
  async #askForTls(talk: PlainTalk): Promise<string | null> {
    this.#step = "waiting for its greeting";
    const greeting = await talk.reply();
    if (!greeting.startsWith("220")) return `greeted with ${greeting}`;
    this.#step = "asking for STARTTLS";
    const extensions = await talk.ask(`EHLO ${CLIENT_NAME}`);
    if (!/^250[ -]STARTTLS\s*$/im.test(extensions)) return "does not offer STARTTLS, so nothing was sent";
    const answer = await talk.ask("STARTTLS");
    if (!answer.startsWith("220")) return `refused STARTTLS, so nothing was sent: ${answer}`;
    // Said in the clear and heard as if it were secret: somebody in between would put words in the server's mouth.
    if (!talk.release()) return "went on in the clear after STARTTLS, so nothing was sent";
    return null;
  }

  async #converse(timeoutMs: number): Promise<MailOutcome> {
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
    if (this.#isOver) return this.#failed("was left", false);

    const conversation = new SMTPConnection({
      connection: this.#line,
      secure: true,
      secured: true,
      host: this.#server.host,
      port: this.#server.port,
      name: CLIENT_NAME,
      maxResponseSize: REPLY_LIMIT_BYTES,
      // Its own clocks never strike: the whole is timed by the caller.
      connectionTimeout: 2 * timeoutMs,
      greetingTimeout: 2 * timeoutMs,
      // Nor does it wait for the server to say good-bye.
      socketCloseTimeout: 0,
    });
    this.#conversation = conversation;
    const broken = new Promise<never>((_, reject) => conversation.on("error", reject));
    const step = <T>(start: (done: (error?: unknown, result?: T) => void) => void): Promise<T> =>
      Promise.race([
        broken,
        new Promise<T>((resolve, reject) => {
          start((error, result) => (error ? reject(error) : resolve(result as T)));
        }),
      ]);

    this.#step = "waiting for its greeting";
    await step((done) => conversation.connect(done));
    this.#step = "signing in";
    const { username: user, password: pass } = this.#server;
    if (user !== "") {
      if (!conversation.allowsAuth) return this.#failed("lets nobody sign in", false);
      await step((done) => conversation.login({ user, pass }, done));
    }
    this.#step = "sending the mail";
    const info = await step<{ rejected: string[] }>((done) =>
      conversation.send(message.getEnvelope(), source, done),
    );
    return { isAccepted: true, refused: info.rejected };
  }

  #keep(socket: Socket): Socket {
    this.#socket = socket;
    // What breaks is told by whoever reads or writes; told twice, it would count as nobody's.
    socket.opened.catch(ignore);
    socket.closed.catch(ignore);
    return socket;
  }

  #broken(failure: Failure): MailOutcome {
    // Of its own accord nodemailer refuses addresses and credentials that no server could take.
    const isUnusable = failure.command === "API" && failure.code !== "ECONNECTION";
    const isPermanent = failure.permanent ?? isUnusable;
    const { code, message, response, responseCode } = failure;
    if (response === undefined) {
      return this.#failed(this.#whyLost(code === "ECONNECTION" ? "it hung up" : message), isPermanent);
    }
    // What a server says of a sign-in may hold what it was signed in with, in whatever form.
    if (this.#step === "signing in")
      return this.#failed(`refused the sign-in (${responseCode})`, isPermanent);
    return this.#failed(`refused while ${this.#step}: ${response}`, isPermanent);
  }

  /** The platform does not tell a certificate that it does not trust from any other trouble. */
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
    // A server may repeat what it was told.
    for (const secret of credentialForms(username, password)) reason = reason.replaceAll(secret, "…");
    reason = reason.replace(CONTROL_CHARACTERS, " ").trim();
    return {
      isAccepted: false,
      reason: reason.slice(0, REASON_LIMIT_CHARACTERS).toWellFormed(),
      isPermanent,
    };
  }
}

/** As they are typed, and as AUTH PLAIN and AUTH LOGIN send them; the longest first, since one may hold another. */
function credentialForms(username: string, password: string): string[] {
  const plain = [password, username].filter((credential) => credential !== "");
  const coded = [...plain, `\0${username}\0${password}`].flatMap((text) => {
    const code = btoa(String.fromCharCode(...new TextEncoder().encode(text)));
    return [code, code.replace(/=+$/, "")];
  });
  return [...plain, ...coded].sort((one, other) => other.length - one.length);
}

/** A stream of Node's over a socket of the platform's. */
class Line extends Duplex {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor(socket: Socket) {
    super();
    this.#reader = socket.readable.getReader();
    this.#writer = socket.writable.getWriter();
    this.#reader.closed.catch(ignore);
    this.#writer.closed.catch(ignore);
    this.#writer.ready.catch(ignore);
    // An error without a listener would be thrown, and nodemailer comes and goes.
    this.on("error", ignore);
  }

  /** nodemailer sets a time limit for silence; here the whole delivery has one. */
  setTimeout(): this {
    return this;
  }

  override _read(): void {
    this.#reader.read().then(
      ({ done, value }) => {
        if (!this.destroyed) this.push(done ? null : value);
      },
      (error: Error) => this.destroy(error),
    );
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#writer.write(chunk).then(() => done(), done);
  }
}

/** The part of a conversation that anybody can hear, and change. */
class PlainTalk {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #heard = "";

  constructor(socket: Socket) {
    this.#reader = socket.readable.getReader();
    this.#writer = socket.writable.getWriter();
    this.#reader.closed.catch(ignore);
    this.#writer.closed.catch(ignore);
    this.#writer.ready.catch(ignore);
  }

  async ask(command: string): Promise<string> {
    await this.#writer.write(new TextEncoder().encode(`${command}\r\n`));
    return this.reply();
  }

  /** All lines of one reply: the last has no hyphen after its code. Throws if there is none. */
  async reply(): Promise<string> {
    for (;;) {
      const last = /^\d{3}(?: .*)?\r?\n/m.exec(this.#heard);
      if (last !== null) {
        const end = last.index + last[0].length;
        const reply = this.#heard.slice(0, end);
        this.#heard = this.#heard.slice(end);
        return reply;
      }
      if (this.#heard.length > REPLY_LIMIT_BYTES) throw new Error("an endless reply");
      const { done, value } = await this.#reader.read();
      if (done) throw new Error("it hung up");
      this.#heard += this.#decoder.decode(value, { stream: true });
    }
  }

  /** Leaves the socket to whoever comes next; false if the server has said more than it was asked. */
  release(): boolean {
    this.#reader.releaseLock();
    this.#writer.releaseLock();
    return this.#heard === "";
  }
}

const ignore = () => {};
