/** A mail server's connection as nodemailer uses it, and as it is before TLS. */

// biome-ignore lint/style/noRestrictedImports: nodemailer talks over a stream of Node's and nothing else.
import { Duplex } from "node:stream";

/** A reply is a few lines of at most 512 bytes (RFC 5321); a server that sends more is no mail server. */
export const REPLY_LIMIT_BYTES = 64 * 1024;

export const ignoreError = () => {};

/** A stream of Node's over a socket of the platform. */
export class SecureStream extends Duplex {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor(socket: Socket) {
    super();
    this.#reader = socket.readable.getReader();
    this.#writer = socket.writable.getWriter();
    this.#reader.closed.catch(ignoreError);
    this.#writer.closed.catch(ignoreError);
    this.#writer.ready.catch(ignoreError);
    // An error without a listener would be thrown, and nodemailer removes its own at times.
    this.on("error", ignoreError);
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

/** The part of a dialogue that anybody on the way can read and change. */
export class PlainDialogue {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #received = "";

  constructor(socket: Socket) {
    this.#reader = socket.readable.getReader();
    this.#writer = socket.writable.getWriter();
    this.#reader.closed.catch(ignoreError);
    this.#writer.closed.catch(ignoreError);
    this.#writer.ready.catch(ignoreError);
  }

  async ask(command: string): Promise<string> {
    await this.#writer.write(new TextEncoder().encode(`${command}\r\n`));
    return this.reply();
  }

  /** All lines of one reply: the last has no hyphen after its code. Throws if there is none. */
  async reply(): Promise<string> {
    for (;;) {
      const last = /^\d{3}(?: .*)?\r?\n/m.exec(this.#received);
      if (last !== null) {
        const end = last.index + last[0].length;
        const reply = this.#received.slice(0, end);
        this.#received = this.#received.slice(end);
        return reply;
      }
      if (this.#received.length > REPLY_LIMIT_BYTES) throw new Error("the reply is too long");
      const { done, value } = await this.#reader.read();
      if (done) throw new Error("it closed the connection");
      this.#received += this.#decoder.decode(value, { stream: true });
    }
  }

  /** Leaves the socket to another reader and writer. @returns false if the server has sent more than its replies */
  release(): boolean {
    this.#reader.releaseLock();
    this.#writer.releaseLock();
    return this.#received === "";
  }
}
