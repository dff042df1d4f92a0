/**
 * What tests see of a cluster from outside, over HTTP alone: its answers, its events with the instant they came,
 * and figures made of them.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import type { Event } from "../../src/contract/event.ts";
import type { Server } from "./server.ts";

export type Answer<Body> = { status: number; headers: Headers; body: Body };
export type CallOptions = { token?: string; headers?: Record<string, string> };

/** One cluster of a server, as an operator reaches it. */
export class Cluster {
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
  ): Promise<Answer<Body>> {
    const response = await fetch(this.url + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Body };
  }

  /** The body of an answer that is a success; any other answer is an error. */
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

/** Things that come one by one, for whoever waits for a certain one. */
export class Stream<Item> {
  readonly items: Item[] = [];
  readonly #waiting = new Set<(item: Item) => void>();

  add(item: Item): void {
    this.items.push(item);
    for (const look of [...this.#waiting]) look(item);
  }

  /** The first that fits, come already or yet to come. */
  first(fits: (item: Item) => boolean): Promise<Item> {
    const known = this.items.find(fits);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => {
      const look = (item: Item) => {
        if (!fits(item)) return;
        this.#waiting.delete(look);
        resolve(item);
      };
      this.#waiting.add(look);
    });
  }
}

/** By the clock of this process, which on one machine is the coordinator's too. */
export type Arrival = { event: Event; arrivedAtMs: number };

/** Pause before another try while the server is away. */
const REFOLLOW_MS = 50;

/** The event stream of a cluster, taken up again where it broke off. */
export class Follower implements AsyncDisposable {
  readonly #cluster: Cluster;
  readonly #arrivals = new Stream<Arrival>();
  readonly #ending = new AbortController();
  readonly #ended: Promise<void>;
  #lastId = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#ended = this.#follow();
  }

  get arrivals(): readonly Arrival[] {
    return this.#arrivals.items;
  }

  /** The first event that fits, arrived already or yet to arrive. */
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
        // It broke off, or nobody is there.
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

/** One line: how many, least, median and most. */
export function figures(what: string, values: readonly number[], unit = "ms"): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN).toFixed(0);
  return `${what}: n ${sorted.length}, min ${at(0)}, median ${at(0.5)}, max ${at(1)} ${unit}`;
}

/** How much too late this process was woken at worst: what the machine alone did to any figure. */
export class Noise implements Disposable {
  readonly #delays = monitorEventLoopDelay({ resolution: 5 });

  constructor() {
    this.#delays.enable();
  }

  toString(): string {
    return `this process itself was up to ${(this.#delays.max / 1e6).toFixed(0)} ms late`;
  }

  [Symbol.dispose](): void {
    this.#delays.disable();
  }
}

/** Numbers in 0 to 1 that depend on the seed alone (mulberry32). */
export function chanceFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
