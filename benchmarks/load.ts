/** Clients that call a server as fast as it answers, over a fixed number of kept connections. */
import { Agent, request } from "node:http";

/** Each client has one connection and one call in flight at a time. */
export class Clients implements Disposable {
  readonly count: number;
  readonly #origin: string;
  readonly #connections: Agent;

  constructor(origin: string, count: number) {
    this.#origin = origin;
    this.count = count;
    this.#connections = new Agent({ keepAlive: true, maxSockets: count });
  }

  [Symbol.dispose](): void {
    this.#connections.destroy();
  }

  /** Any answer but a success is an error: refusals are fast, and would make the figure look better. */
  call(method: string, path: string, token: string | null, body?: unknown): Promise<string> {
    const text = body === undefined ? "" : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const call = request(`${this.#origin}${path}`, {
        method,
        agent: this.#connections,
        headers: {
          ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
          ...(method === "GET" ? {} : { "Content-Length": Buffer.byteLength(text) }),
        },
      });
      call.once("error", reject);
      call.once("response", (response) => {
        let answer = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          answer += chunk;
        });
        response.once("error", reject);
        response.once("end", () => {
          if ((response.statusCode ?? 0) < 300) resolve(answer);
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`));
        });
      });
      call.end(text);
    });
  }

  /** Makes every client repeat `step` for that long. @returns the steps per second */
  async perSecond(durationMs: number, step: (client: number) => Promise<unknown>): Promise<number> {
    const startMs = performance.now();
    const untilMs = startMs + durationMs;
    let done = 0;
    const repeat = async (client: number) => {
      while (performance.now() < untilMs) {
        await step(client);
        done += 1;
      }
    };
    await Promise.all(Array.from({ length: this.count }, (_, client) => repeat(client)));
    return (done * 1000) / (performance.now() - startMs);
  }
}
