/**
 * One call over HTTP: its time limit, its errors and its retries. Only repeatable calls are retried. When a call that
 * is not repeatable gets no answer, its effect is unknown and it rejects with a `ConnectionError`.
 */

import { sleep, timeLimit } from "./cancellation.ts";
import { ConnectionError, errorOf, FailoverError } from "./errors.ts";
import { backoffMs, isTransient } from "./retry.ts";

/** How to reach the coordinator. */
export type ClientOptions = {
  /** Base URL of the coordinator. Default `http://127.0.0.1:8787`. */
  url?: string | undefined;
  /** `ADMIN_TOKEN`, or another token that permits the calls. */
  token?: string | undefined;
  /** Default `default`. */
  cluster?: string | undefined;
  /** Used instead of the global `fetch`. */
  fetch?: typeof fetch | undefined;
  /** Time limit of one request, without the wait of a long poll. Default 30. */
  timeoutSeconds?: number | undefined;
  /** How often a repeatable call is retried. Default 5, within about 6 seconds. */
  retries?: number | undefined;
};

/** The last argument of every call. */
export type CallOptions = {
  /** Ends the call; it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Overrides the `timeoutSeconds` of the client. */
  timeoutSeconds?: number | undefined;
};

type Query = Record<string, string | number | boolean | null | undefined>;

export type Call = CallOptions & {
  query?: Query | undefined;
  body?: unknown;
  headers?: Record<string, string>;
  /** Whether to retry the call. Default: true for GET and PUT. */
  isRepeatable?: boolean;
  retries?: number;
  token?: string | undefined;
};

const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 5000;
/** For a longer `Retry-After` the caller gets the error at once, and decides. */
const LONGEST_RETRY_AFTER_SECONDS = 30;

export class Http {
  /** The URL of the cluster, without a slash at its end. */
  readonly base: string;
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    const { cluster = "default" } = options;
    const url = (options.url || "http://127.0.0.1:8787").replace(/\/+$/, "");
    if (!/^https?:\/\/./.test(url) || !URL.canParse(url)) {
      throw new TypeError(`url must start with http:// or https://, not ${JSON.stringify(options.url)}`);
    }
    this.base = `${url}/v1/clusters/${encodeURIComponent(cluster)}`;
    this.#options = options;
  }

  /** The body of the response. @throws {FailoverError} @throws {ConnectionError} */
  async call<Body>(method: string, path: string, call: Call = {}): Promise<Body> {
    return (await this.exchange<Body>(method, path, call)).body;
  }

  async exchange<Body>(
    method: string,
    path: string,
    call: Call = {},
  ): Promise<{ body: Body; headers: Headers }> {
    const isRepeatable = call.isRepeatable ?? (method === "GET" || method === "PUT");
    const retries = call.retries ?? this.#options.retries ?? 5;
    for (let tries = 0; ; tries++) {
      try {
        return await this.#once(method, path, call);
      } catch (error) {
        const pause = call.signal?.aborted || tries >= retries ? null : pauseMs(error, isRepeatable, tries);
        if (pause === null) throw error;
        await sleep(pause, call.signal);
        call.signal?.throwIfAborted();
      }
    }
  }

  /** A response whose body is still to be read, without a time limit. */
  async open(method: string, path: string, call: Call): Promise<Response> {
    const response = await this.#fetch(method, path, call);
    if (!response.ok) throw errorOf(response.status, parsed(await response.text()));
    return response;
  }

  async #once<Body>(method: string, path: string, call: Call): Promise<{ body: Body; headers: Headers }> {
    const seconds = call.timeoutSeconds ?? this.#options.timeoutSeconds ?? 30;
    const { signal, dispose } = timeLimit(seconds * 1000, call.signal);
    try {
      const response = await this.#fetch(method, path, { ...call, signal });
      const body = parsed(await response.text());
      if (!response.ok) throw errorOf(response.status, body, response.headers.get("Retry-After"));
      if (body === undefined) {
        const what = `${response.status} ${response.headers.get("Content-Type")}`;
        throw new Error(`unexpected response: this is not a failover coordinator: ${what}`);
      }
      return { body: body as Body, headers: response.headers };
    } catch (error) {
      if (error instanceof FailoverError) throw error;
      if (call.signal?.aborted) throw call.signal.reason;
      const cause = signal.aborted ? signal.reason : error;
      throw new ConnectionError(`${method} ${this.base}${path}: ${messageOf(cause)}`, { cause });
    } finally {
      dispose();
    }
  }

  #fetch(method: string, path: string, { query = {}, body, headers, ...call }: Call): Promise<Response> {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) if (value != null) search.set(name, String(value));
    const token = call.token ?? this.#options.token;
    // Browsers reject a call of their fetch with another `this` than the global object.
    const send = this.#options.fetch ?? ((...args: Parameters<typeof fetch>) => fetch(...args));
    return send(`${this.base}${path}${search.size > 0 ? `?${search}` : ""}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: call.signal ?? null,
    });
  }
}

/** Milliseconds before the next try; null for no other try. */
function pauseMs(error: unknown, isRepeatable: boolean, tries: number): number | null {
  // The rate limit refuses a call before anything is done, so even calls that are not repeatable may be retried.
  const isRateLimited = error instanceof FailoverError && error.status === 429;
  if (!(isRateLimited || (isRepeatable && isTransient(error)))) return null;
  const after = (error instanceof FailoverError && error.retryAfterSeconds) || 0;
  if (after > LONGEST_RETRY_AFTER_SECONDS) return null;
  return after * 1000 + backoffMs(tries, FIRST_RETRY_MS, LONGEST_RETRY_MS);
}

/** @returns undefined if the text is not JSON, null if the text is empty */
function parsed(text: string): unknown {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    // A page of a proxy, or of another server.
    return undefined;
  }
}

/** The message of any thrown value. Node's `fetch` hides the reason in `cause`. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.message === "fetch failed"
    ? messageOf(error.cause)
    : error.message || String((error as { code?: string }).code ?? error.name);
}
