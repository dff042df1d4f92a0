/** A proxy before a server that gives answers of its own first, as a proxy with an error page or a captive portal does. */
import { once } from "node:events";
import { createServer, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type OddAnswer = { status: number; type: string; body: string | Buffer };

export class OddProxy implements AsyncDisposable {
  readonly #target: string;
  /** The answers of the calls whose method and path match, the next one first. */
  readonly #odd: { matches: RegExp; answers: OddAnswer[] }[];
  readonly #server = createServer((incoming, response) => {
    const call = `${incoming.method} ${incoming.url}`;
    const answer = this.#odd.find(({ matches }) => matches.test(call))?.answers.shift();
    if (answer !== undefined) {
      incoming.resume();
      response.writeHead(answer.status, { "Content-Type": answer.type }).end(answer.body);
      return;
    }
    const { method, headers, url = "/" } = incoming;
    const forwarded = request(
      new URL(url, this.#target),
      { method: method ?? "GET", headers },
      (answered) => {
        response.writeHead(answered.statusCode ?? 502, answered.headers);
        answered.pipe(response);
      },
    );
    forwarded.once("error", () => endUnanswered(response));
    response.once("close", () => forwarded.destroy());
    incoming.pipe(forwarded);
  });

  private constructor(target: string, odd: { matches: RegExp; answers: OddAnswer[] }[]) {
    this.#target = target;
    this.#odd = odd;
  }

  static async before(target: string, odd: { matches: RegExp; answers: OddAnswer[] }[]): Promise<OddProxy> {
    const proxy = new OddProxy(target, odd);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Whether every odd answer was given. */
  isSpent(): boolean {
    return this.#odd.every(({ answers }) => answers.length === 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

function endUnanswered(response: ServerResponse): void {
  response.destroy();
}
