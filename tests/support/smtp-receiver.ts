/**
 * Mail servers on loopback that behave, and some that do not. All take whatever port is free; `await using`
 * ends one with every connection it has.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import type { TestCertificates } from "./certificates.ts";

export const MAIL_USERNAME = "alerts@example.org";
export const MAIL_PASSWORD = "correct horse battery staple";

export type ReceivedMail = {
  readonly from: string;
  readonly to: readonly string[];
  /** As it came: headers, an empty line, the body. */
  readonly raw: string;
  readonly isSecure: boolean;
  /** Null if nobody signed in. */
  readonly username: string | null;
};

export type ReceiverOptions = {
  readonly certificates: TestCertificates;
  /** `starttls`: in the clear at first. `tls`: from the first byte. */
  readonly security: "starttls" | "tls";
  /** Without one nobody can sign in, and nobody has to. */
  readonly hasSignIn?: boolean;
  /** The reply to a recipient, such as `550`, by address; all others are taken. */
  readonly refusals?: Readonly<Record<string, number>>;
  /** The reply to each mail, such as `452`. */
  readonly mailRefusal?: number;
  /** Its text, with all refusals of mails. */
  readonly refusalText?: string;
  /** Where it ends the connection without a word. */
  readonly hangsUpAt?: "signIn" | "recipient" | "data";
  /** Asks for the mail and does not read it, until `hearAgain`. */
  readonly isDeaf?: boolean;
  /** Takes the mail, and never says so. */
  readonly isSilentAfterData?: boolean;
};

export interface MailReceiver extends AsyncDisposable {
  readonly port: number;
  readonly mails: readonly ReceivedMail[];
  /** How many clients have come. */
  connections(): number;
  /** How many times somebody has sent a password. */
  signIns(): number;
  hearAgain(): void;
  /** Resolves when a mail has arrived whole, whether or not that is said to the client. */
  mailArrived(): Promise<unknown>;
  /** Takes no more clients, and resolves when none is connected any more. */
  allGone(): Promise<unknown>;
}

/** A server that speaks SMTP as it should, and refuses what it is told to. */
export async function startMailReceiver(options: ReceiverOptions): Promise<MailReceiver> {
  const { certificates, hasSignIn = true, refusals = {} } = options;
  const mails: ReceivedMail[] = [];
  const arrival = Promise.withResolvers<void>();
  const deaf = Promise.withResolvers<void>();
  let signIns = 0;
  const settings: SMTPServerOptions = {
    key: certificates.key,
    cert: certificates.cert,
    secure: options.security === "tls",
    authOptional: !hasSignIn,
    disabledCommands: hasSignIn ? [] : ["AUTH"],
    disableReverseLookup: true,
    logger: false,
    onAuth({ username, password }, _session, callback) {
      signIns++;
      if (options.hangsUpAt === "signIn") return hangUpOnAll();
      if (username === MAIL_USERNAME && password === MAIL_PASSWORD) callback(null, { user: username });
      // What an unkind server says to everybody who can read its replies.
      else callback(new Error(`no ${username} with ${password}`));
    },
    onRcptTo({ address }, _session, callback) {
      if (options.hangsUpAt === "recipient") return hangUpOnAll();
      const code = refusals[address];
      callback(code === undefined ? null : replyError(code, `not ${address}`));
    },
    onData(stream, session, callback) {
      if (options.hangsUpAt === "data") return hangUpOnAll();
      if (options.isDeaf) {
        deaf.promise.then(() => stream.resume());
        return;
      }
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({
          from: mailFrom === false ? "" : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          raw: Buffer.concat(chunks).toString("utf8"),
          isSecure: session.secure,
          username: session.user || null,
        });
        arrival.resolve();
        if (options.isSilentAfterData) return;
        callback(
          options.mailRefusal === undefined
            ? null
            : replyError(options.mailRefusal, options.refusalText ?? "not now"),
        );
      });
    },
  };
  const smtp = new SMTPServer(settings);
  // A client that leaves in the middle is what some tests are about.
  smtp.on("error", () => {});
  const connections = new Connections(smtp.server);
  // TLS first: cut from below, it would not notice.
  const hangUpOnAll = () => {
    for (const { _socket } of smtp.connections as Set<{ _socket: Socket }>) _socket.destroy();
  };
  const end = async () => {
    hangUpOnAll();
    await connections.end();
  };
  smtp.listen(0, "127.0.0.1");
  await once(smtp.server, "listening");
  return {
    port: portOf(smtp.server),
    mails,
    connections: () => connections.count,
    signIns: () => signIns,
    hearAgain: () => deaf.resolve(),
    mailArrived: () => arrival.promise,
    allGone: () => connections.allGone(),
    [Symbol.asyncDispose]: end,
  };
}

export interface RawReceiver extends AsyncDisposable {
  readonly port: number;
  /** Everything that clients have sent, in the order in which it came. */
  heard(): string;
  connected(): Promise<unknown>;
  allGone(): Promise<unknown>;
}

/** What a raw server does with a client. */
export type Conduct = (client: Socket, heard: (callback: (line: string) => void) => void) => void;

/** A server that follows no protocol but its own; whatever it is sent is kept. */
export async function startRawReceiver(conduct: Conduct): Promise<RawReceiver> {
  const chunks: Buffer[] = [];
  const connection = Promise.withResolvers<void>();
  const server = createServer((client) => {
    client.on("error", () => {});
    client.on("data", (chunk) => chunks.push(chunk));
    connection.resolve();
    conduct(client, (callback) => {
      let rest = "";
      client.on("data", (chunk) => {
        const lines = (rest + chunk.toString("latin1")).split("\r\n");
        rest = lines.pop() ?? "";
        for (const line of lines) callback(line);
      });
    });
  });
  const connections = new Connections(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: portOf(server),
    heard: () => Buffer.concat(chunks).toString("latin1"),
    connected: () => connection.promise,
    allGone: () => connections.allGone(),
    [Symbol.asyncDispose]: () => connections.end(),
  };
}

/** Accepts and says nothing. */
export const silence: Conduct = () => {};

/** Says nothing but good-bye. */
export const hangUp: Conduct = (client) => {
  client.end();
};

/** Talks without ever coming to the end of a sentence. */
export const endless: Conduct = (client) => {
  client.write("x".repeat(1_000_000));
};

/** Greets, then hangs up. */
export const hangUpAfterGreeting: Conduct = (client) => {
  client.end("220 localhost ESMTP\r\n");
};

/** A whole conversation in the clear, for whoever takes part: STARTTLS was taken out of it on the way. */
export const stripped: Conduct = (client, heard) => {
  client.write("220 localhost ESMTP\r\n");
  heard((line) => {
    if (/^EHLO/i.test(line)) client.write("250-localhost\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN\r\n");
    else if (/^AUTH/i.test(line)) client.write("235 welcome\r\n");
    else if (/^DATA/i.test(line)) client.write("354 go on\r\n");
    else if (/^STARTTLS/i.test(line)) client.write("502 never heard of it\r\n");
    else client.write("250 yes\r\n");
  });
};

/** Offers STARTTLS and answers it with `answer`; then it does nothing more, or hangs up. */
export const answerToStartTls =
  (answer: string, hangsUp = false): Conduct =>
  (client, heard) => {
    client.write("220 localhost ESMTP\r\n");
    heard((line) => {
      if (/^EHLO/i.test(line)) client.write("250-localhost\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n");
      if (line !== "STARTTLS") return;
      client.write(answer);
      if (hangsUp) client.end();
    });
  };

class Connections {
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  #gone: Promise<unknown> | null = null;

  constructor(server: Server) {
    this.#server = server;
    server.on("connection", (client) => this.#clients.add(client));
  }

  /** Since the beginning. */
  get count(): number {
    return this.#clients.size;
  }

  /** Told by the server, which takes no others from now on: a client's own listeners are lost when TLS starts. */
  allGone(): Promise<unknown> {
    if (this.#gone === null) {
      this.#gone = once(this.#server, "close");
      this.#server.close();
    }
    return this.#gone;
  }

  async end(): Promise<void> {
    const gone = this.allGone();
    for (const client of this.#clients) client.destroy();
    await gone;
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

const replyError = (responseCode: number, message: string) =>
  Object.assign(new Error(message), { responseCode });
