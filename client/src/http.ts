/**
 * One call over HTTP: its time limit, its errors, and whether it is tried again. Only what may be repeated is;
 * a call whose effect is unknown and not repeatable ends in a `ConnectionError`.
 */

import { backoffMs, linked, sleep } from "./cancellation.ts";
import { ConnectionError, errorOf, FailoverError } from "./errors.ts";

/** How to reach the coordinator. */
export type ClientOptions = {
  /** Where it answers. Default `http://127.0.0.1:8787`. */
  url?: string | undefined;
  /** `ADMIN_TOKEN`, or another that may do what is asked. */
  token?: string | undefined;
  /** Default `default`. */
  cluster?: string | undefined;
  /** In place of the global `fetch`. */
  fetch?: typeof fetch | undefined;
  /** How long one request may take, a wait asked for apart. Default 30. */
  timeoutSeconds?: number | undefined;
  /** How often a call that may be repeated is tried again. Default 5, in some 6 seconds. */
  retries?: number | undefined;
};

/** What every call takes as its last argument. */
export type CallOptions = {
  /** Ends the call; it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** In place of the client's. */
  timeoutSeconds?: number | undefined;
};

export type Query = Record<string, string | number | boolean | null | undefined>;

export type Call = CallOptions & {
  query?: Query | undefined;
  body?: unknown;
  headers?: Record<string, string>;
  /** GET and PUT are unless told otherwise. */
  isRepeatable?: boolean;
  retries?: number;
  token?: string | undefined;
};

const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 5000;
/** Whoever is told to wait for longer is better told so. */
const LONGEST_RETRY_AFTER_SECONDS = 30;

/** Statuses under which the same call may be answered better soon. */
const isPassing = (error: unknown) =>
  error instanceof FailoverError &&
  (error.status >= 500 || error.status === 429) &&
  error.code !== "not_configured";

/** No answer, or one that says "not now". */
export const isWorthRepeating = (error: unknown): boolean =>
  error instanceof ConnectionError || isPassing(error);

export class Http {
  /** `C` of the contract. */
  readonly base: string;
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    const { cluster = "default" } = options;
    const url = (options.url || "http://127.0.0.1:8787").replace(/\/+$/, "");
    if (!/^https?:\/\/./.test(url) || !URL.canParse(url)) {
      throw new TypeError(`url: http://… or https://… is needed, not ${JSON.stringify(options.url)}`);
    }
    this.base = `${url}/v1/clusters/${encodeURIComponent(cluster)}`;
    this.#options = options;
  }

  /** The body of the answer. @throws {FailoverError} @throws {ConnectionError} */
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

  /** An answer whose body is still to come; the time limit is for its beginning. */
  async open(method: string, path: string, call: Call & { signal: AbortSignal }): Promise<Response> {
    const response = await this.#fetch(method, path, call, call.signal);
    if (!response.ok) throw errorOf(response.status, parsed(await response.text()));
    return response;
  }

  async #once<Body>(method: string, path: string, call: Call): Promise<{ body: Body; headers: Headers }> {
    const seconds = call.timeoutSeconds ?? this.#options.timeoutSeconds ?? 30;
    const abort = linked(call.signal);
    const timer = setTimeout(() => abort.abort(new Error(`no answer in ${seconds} s`)), seconds * 1000);
    try {
      const response = await this.#fetch(method, path, call, abort.signal);
      const body = parsed(await response.text());
      if (!response.ok) throw errorOf(response.status, body, response.headers.get("Retry-After"));
      if (body === undefined) {
        throw new Error(
          `no coordinator answers so: ${response.status} ${response.headers.get("Content-Type")}`,
        );
      }
      return { body: body as Body, headers: response.headers };
    } catch (error) {
      if (error instanceof FailoverError) throw error;
      if (call.signal?.aborted) throw call.signal.reason;
      const cause = abort.signal.aborted ? abort.signal.reason : error;
      throw new ConnectionError(`${method} ${this.base}${path}: ${messageOf(cause)}`, { cause });
    } finally {
      clearTimeout(timer);
      abort.dispose();
    }
  }

  #fetch(method: string, path: string, { query = {}, body, headers, token }: Call, signal: AbortSignal) {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) if (value != null) search.set(name, String(value));
    const given = token ?? this.#options.token;
    // A method of an object of ours would be an illegal call of the browser's own.
    const send = this.#options.fetch ?? ((...args: Parameters<typeof fetch>) => fetch(...args));
    return send(`${this.base}${path}${search.size > 0 ? `?${search}` : ""}`, {
      method,
      headers: {
        ...(given === undefined ? {} : { Authorization: `Bearer ${given}` }),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    });
  }
}

/** Milliseconds before another try, null if there should be none. */
function pauseMs(error: unknown, isRepeatable: boolean, tries: number): number | null {
  // Of the refusals, this one alone is certain to have come before anything was done.
  const isUntouched = error instanceof FailoverError && error.status === 429;
  if (!(isUntouched || (isRepeatable && isWorthRepeating(error)))) return null;
  const after = (error instanceof FailoverError && error.retryAfterSeconds) || 0;
  if (after > LONGEST_RETRY_AFTER_SECONDS) return null;
  return after * 1000 + backoffMs(tries, FIRST_RETRY_MS, LONGEST_RETRY_MS);
}

/** @returns undefined if it is no JSON, null if it is nothing */
function parsed(text: string): unknown {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    // A page of some proxy, or of something else altogether.
    return undefined;
  }
}

/** What an error says, of whatever kind it is; the platform's `fetch` hides the reason one level down. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.message === "fetch failed"
    ? messageOf(error.cause)
    : error.message;
}
