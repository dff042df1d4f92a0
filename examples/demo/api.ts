/** The little of the HTTP interface that the demo speaks as an operator. */

/** Long polls take up to 30 s; anything beyond is not coming. */
const ANSWER_LIMIT_MS = 40_000;

/** An error as the coordinator writes it (RFC 9457); some codes say more, such as what is current. */
export type Problem = { code: string; detail: string; [evidence: string]: unknown };

/** What the demo did not get to see, in words for whoever ran it. */
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

  /** @param path behind `/v1/clusters/{cluster}` */
  async get<Body>(path: string): Promise<Body> {
    return this.#expect<Body>("GET", path);
  }

  async post<Body>(path: string, body: object): Promise<Body> {
    return this.#expect<Body>("POST", path, body);
  }

  /** Sends what must be refused. */
  async refused(path: string, body: object): Promise<{ status: number; problem: Problem }> {
    const response = await this.#send("POST", path, body);
    if (response.ok) throw new NotSeen(`POST ${path} was accepted, and should have been refused`);
    return { status: response.status, problem: (await response.json()) as Problem };
  }

  /** The event stream, from `lastEventId` on. */
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

/** `fetch` says only that it failed; its cause says why. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && cause.message !== "" ? cause.message : error.message;
}
