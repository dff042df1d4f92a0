/** A coordinator for tests of the client that need no server: it answers as it is told, over HTTP and a socket. */
import { vi } from "vitest";

export const CLUSTER_URL = "http://coordinator.test/v1/clusters/default";

export type Called = { method: string; path: string; query: URLSearchParams; headers: Headers; body: never };

/** An answer, or why there is none. */
export type Answering = (called: Called) => Response | Promise<Response>;

export const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(body === undefined ? null : JSON.stringify(body), { status, headers });

export const problem = (status: number, code: string, evidence: object = {}, headers = {}): Response =>
  json(
    { type: "about:blank", title: "", status, code, detail: `it is ${code}`, request_id: "r1", ...evidence },
    status,
    headers,
  );

/** As `fetch` says it of a server that is not there. */
export const noAnswer = (): Response => {
  throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
};

/** Answers never; the client has to give up. */
export const silence = (): Promise<Response> => new Promise(() => {});

export class FakeCoordinator {
  readonly calls: Called[] = [];
  readonly #answers: { method: string; path: RegExp; answering: Answering }[] = [];

  /** The latest word on a route counts. @param path after the cluster's, whole */
  on(method: string, path: RegExp, answering: Answering): this {
    this.#answers.unshift({ method, path, answering });
    return this;
  }

  /** Answers in turn; the last one for ever after. */
  inTurn(method: string, path: RegExp, ...answers: Answering[]): this {
    let at = 0;
    return this.on(method, path, (called) => {
      const answering = answers[Math.min(at++, answers.length - 1)];
      if (answering === undefined) throw new Error("no answer was given");
      return answering(called);
    });
  }

  made(method: string, path: RegExp): Called[] {
    return this.calls.filter((call) => call.method === method && path.test(call.path));
  }

  readonly fetch = async (input: unknown, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(String(input));
    const called: Called = {
      method: init.method ?? "GET",
      path: url.href.split("?")[0]?.slice(CLUSTER_URL.length) ?? "",
      query: url.searchParams,
      headers: new Headers(init.headers),
      body: (init.body === undefined ? undefined : JSON.parse(String(init.body))) as never,
    };
    this.calls.push(called);
    const found = this.#answers.find(
      ({ method, path }) => method === called.method && path.test(called.path),
    );
    const answer = found === undefined ? problem(404, "not_found") : found.answering(called);
    const { signal } = init;
    const aborted = new Promise<never>((_, reject) => {
      if (signal?.aborted) reject(signal.reason);
      signal?.addEventListener("abort", () => reject(signal.reason));
    });
    aborted.catch(() => {});
    return Promise.race([answer, aborted]);
  };

  get options() {
    return { url: "http://coordinator.test", token: "admin", fetch: this.fetch as typeof fetch };
  }
}

/** A coordinator that an agent can register with, whose task list is empty until it is told otherwise. */
export function coordinatorWithAgents({ intervalSeconds = 10, timeoutSeconds = 30 } = {}) {
  const fake = new FakeCoordinator();
  let incarnation = 0;
  let held: object[] = [];
  let wake = () => {};
  const page = (items: object[]) => json({ items, next_cursor: null });
  fake.on("PUT", /^\/groups\/[^/]+\/agents\/[^/]+$/, () => {
    incarnation++;
    return json({
      agent: {},
      incarnation,
      token: `token-${incarnation}`,
      heartbeat_interval_seconds: intervalSeconds,
      heartbeat_timeout_seconds: timeoutSeconds,
      websocket_url: "ws://coordinator.test/connect",
    });
  });
  fake.on("POST", /\/heartbeat$/, () => json({}));
  fake.on("POST", /\/drain$/, () => json({}));
  fake.on("DELETE", /\/agents\/[^/]+$/, () => json(undefined, 200));
  fake.on("GET", /\/agents\/[^/]+\/tasks$/, async ({ query }) => {
    if (query.has("status")) return page(held);
    const waits = (item: object) => (item as { status: string }).status === "assigned";
    if (!held.some(waits)) await new Promise<void>((resolve) => (wake = resolve));
    return page(held.filter(waits));
  });
  fake.on("POST", /^\/tasks\/[^/]+\/start$/, ({ path }) => {
    const id = path.split("/")[2];
    held = held.map((item) => ((item as { id: string }).id === id ? { ...item, status: "running" } : item));
    return json({ task: { id } });
  });
  fake.on("POST", /^\/tasks\/[^/]+\/(progress|complete|fail)$/, ({ path }) =>
    json({ task: { id: path.split("/")[2] } }),
  );
  return {
    fake,
    /** The tasks that the agent holds from now on; its long poll is answered. */
    hold(...tasks: object[]) {
      held = tasks;
      wake();
    },
    get registrations() {
      return fake.made("PUT", /agents/) as { body: { running_tasks: object[] } }[];
    },
  };
}

export const task = (id: string, attempt = 1, type = "work") => ({
  id,
  type,
  attempt,
  status: "assigned",
  data: null,
});

/** The global `WebSocket`, with every socket that was opened. */
export class FakeSocket {
  static opened: FakeSocket[] = [];
  /** What the next ones do: open, or refuse. */
  static isOpen = true;
  readonly sent: string[] = [];
  readonly url: string;
  readonly protocols: string[];
  isClosed = false;
  /** Whether a `ping` is answered. */
  answersPings = true;
  onopen = () => {};
  onerror = () => {};
  onclose = (_event: { code: number; reason: string }) => {};
  onmessage: ((event: { data: string }) => void) | null = null;

  constructor(url: string, protocols: string[]) {
    this.url = url;
    this.protocols = protocols;
    FakeSocket.opened.push(this);
    const isOpen = FakeSocket.isOpen;
    queueMicrotask(() => (isOpen ? this.onopen() : this.break(1006)));
  }

  send(text: string): void {
    this.sent.push(text);
    if (text === "ping" && this.answersPings) queueMicrotask(() => this.onmessage?.({ data: "pong" }));
  }

  close(): void {
    this.isClosed = true;
  }

  push(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  break(code = 1006, reason = ""): void {
    this.isClosed = true;
    this.onclose({ code, reason });
  }

  /** Requests of one type so far. */
  requests(type: string): { request_id: string; [member: string]: unknown }[] {
    return this.sent
      .filter((text) => text !== "ping")
      .map((text) => JSON.parse(text))
      .filter((frame) => frame.type === type);
  }

  static use(): void {
    FakeSocket.opened = [];
    FakeSocket.isOpen = true;
    vi.stubGlobal("WebSocket", FakeSocket);
  }

  static get latest(): FakeSocket {
    const socket = FakeSocket.opened.at(-1);
    if (socket === undefined) throw new Error("no socket was opened");
    return socket;
  }
}

/** Time that stands still until told otherwise, and chance that is none. */
export function stopTime(): void {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
}

export function startTime(): void {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
}

/** Lets so much time pass, and all that follows from it happen. */
export const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);
