/**
 * One cluster over HTTP as an operator uses it, with answers unchecked: for tests that end processes, and for
 * benchmarks, which run without the test runner. Tests of the HTTP interface use checked-cluster.ts.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Event } from "../../src/contract/event.ts";
import type { Server } from "./server.ts";
import { Stream } from "./stream.ts";

export type ClusterAnswer<Body> = { status: number; headers: Headers; body: Body };
export type CallOptions = { token?: string; headers?: Record<string, string> };

/** One cluster of a server, as an operator uses it. */
export class ClusterClient {
  readonly name: string;
  readonly #server: Server;

  constructor(server: Server, name: string) {
    this.#server = server;
    this.name = name;
  }

  get url(): string {
    return `${this.#server.url}/v1/clusters/${this.name}`;
  }

  get adminToken(): string {
    return this.#server.adminToken;
  }

  /** Rejects only if there is no answer. */
  async call<Body>(
    method: string,
    path: string,
    body?: unknown,
    { token = this.adminToken, headers = {} }: CallOptions = {},
  ): Promise<ClusterAnswer<Body>> {
    const response = await fetch(this.url + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Body };
  }

  /** The body of a success; any other answer is thrown. */
  async ask<Body>(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Body> {
    const answer = await this.call<Body>(method, path, body, options);
    if (answer.status >= 300) {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  }

  /** Every item of a list, page by page. */
  async all<Item>(path: string): Promise<Item[]> {
    const items: Item[] = [];
    let cursor: string | null = null;
    do {
      const query = new URLSearchParams({ limit: "500", ...(cursor === null ? {} : { cursor }) });
      const page: { items: Item[]; next_cursor: string | null } = await this.ask("GET", `${path}?${query}`);
      items.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    return items;
  }

  /** Follows its events from the first one on. */
  follow(): Follower {
    return new Follower(this);
  }
}

/** By the clock of this process, which on one machine is the coordinator's too. */
export type Arrival = { event: Event; arrivedAtMs: number };

/** Pause before another try while the server is down. */
const REFOLLOW_MS = 50;

/** The event stream of a cluster, resumed after each break. */
export class Follower implements AsyncDisposable {
  readonly #cluster: ClusterClient;
  readonly #arrivals = new Stream<Arrival>();
  readonly #ending = new AbortController();
  readonly #ended: Promise<void>;
  #lastId = 0;

  constructor(cluster: ClusterClient) {
    this.#cluster = cluster;
    this.#ended = this.#follow();
  }

  get arrivals(): readonly Arrival[] {
    return this.#arrivals.items;
  }

  /** The first event that matches, now or later. */
  event(type: string, fits: (event: Event) => boolean = () => true): Promise<Arrival> {
    return this.#arrivals.first(({ event }) => event.type === type && fits(event));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#ended;
  }

  async #follow(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      try {
        const response = await fetch(`${this.#cluster.url}/events`, {
          headers: {
            Authorization: `Bearer ${this.#cluster.adminToken}`,
            "Last-Event-ID": String(this.#lastId),
          },
          signal: this.#ending.signal,
        });
        if (response.body !== null) await this.#read(response.body);
      } catch {
        // The stream broke off, or the server is down.
      }
      if (!this.#ending.signal.aborted) await delay(REFOLLOW_MS);
    }
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of body) {
      const blocks = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (data === undefined) continue;
        const event = JSON.parse(data) as Event;
        this.#lastId = event.id;
        this.#arrivals.add({ event, arrivedAtMs: Date.now() });
      }
    }
  }
}
