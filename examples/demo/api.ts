/** The calls of the HTTP API that the demo makes as an operator. */

/** A long poll takes up to 30 s. */
const ANSWER_LIMIT_MS = 40_000;

/** An error of the coordinator (RFC 9457). Some codes have evidence, such as the current attempt. */
export type Problem = { code: string; detail: string; [evidence: string]: unknown };

/** A step that the demo did not see, as a sentence for the person who runs it. */
export class NotSeen extends Error {}

export class Api {
  readonly origin: string;
  readonly cluster: string;
  readonly #token: string;

  constructor(origin: string, cluster: string, token: string) {
    this.origin = origin;
    this.cluster = cluster;
    this.#token = token;
  }

  /** @param path follows `/v1/clusters/{cluster}` */
  async get<Body>(path: string): Promise<Body> {
    return this.#expect<Body>("GET", path);
  }

  async post<Body>(path: string, body: object): Promise<Body> {
    return this.#expect<Body>("POST", path, body);
  }

  /** Sends a call that the coordinator must refuse. */
  async refused(path: string, body: object): Promise<{ status: number; problem: Problem }> {
    const response = await this.#send("POST", path, body);
    if (response.ok) throw new NotSeen(`POST ${path} was accepted and should have been refused`);
    return { status: response.status, problem: (await response.json()) as Problem };
  }

  /** The event stream after `lastEventId`. */
  stream(lastEventId: number): Promise<Response> {
    const headers = { ...this.#headers(), "Last-Event-ID": String(lastEventId) };
    return fetch(this.#url("/events"), { headers });
  }

  async #expect<Body>(method: string, path: string, body?: object): Promise<Body> {
    const response = await this.#send(method, path, body);
    if (response.ok) return (await response.json()) as Body;
    const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
    throw new NotSeen(
      `${method} ${path} was answered ${response.status} ${problem.code ?? ""} ${problem.detail ?? ""}`.trim(),
    );
  }

  async #send(method: string, path: string, body?: object): Promise<Response> {
    try {
      return await fetch(this.#url(path), {
        method,
        headers: { ...this.#headers(), "Content-Type": "application/json" },
        signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw new NotSeen(`${method} ${path} was not answered: ${reasonOf(error)}`);
    }
  }

  #headers() {
    return { Authorization: `Bearer ${this.#token}` };
  }

  #url(path: string): string {
    return `${this.origin}/v1/clusters/${this.cluster}${path}`;
  }
}

/** The error of `fetch` has its reason in `cause`. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && cause.message !== "" ? cause.message : error.message;
}
