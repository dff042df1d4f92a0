/**
 * The client's agent under faults: sockets that are cut, swallowed or silent, a blocked event loop,
 * a coordinator that is down. LONG=1 runs more rounds, with longer timeouts.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  Agent,
  type AgentEvents,
  type AgentOptions,
  DistributedCoordinator,
  type Task,
} from "../../../client/src/index.ts";
import { clientSuite } from "../../support/client-suite.ts";
import { figures } from "../../support/measure.ts";
import { PROJECT_ROOT } from "../../support/server.ts";
import { Stream } from "../../support/stream.ts";
import { until } from "../../support/until.ts";

const IS_LONG = Boolean(process.env.LONG);
const ROUNDS = IS_LONG ? 12 : 2;
const OPENINGS = IS_LONG ? 50 : 8;
const HEARTBEAT = IS_LONG
  ? { heartbeatIntervalSeconds: 1.25, heartbeatTimeoutSeconds: 5 }
  : { heartbeatIntervalSeconds: 0.3, heartbeatTimeoutSeconds: 1.2 };
const TIMEOUT_MS = HEARTBEAT.heartbeatTimeoutSeconds * 1000;
const BLOCK_MS = 2.5 * TIMEOUT_MS;
const TEST_LIMIT_MS = IS_LONG ? 600_000 : 60_000;
/** A new incarnation waits a random time of some hundred milliseconds, then reads its tasks. */
const TOLD_LIMIT_MS = 3000;
const AT_ONCE_MS = 100;

const suite = clientSuite("resilience");

function freshCluster(proxy?: WeatherProxy) {
  const access = suite.freshAccess();
  const coordinator = new DistributedCoordinator(access);
  /** The test stops it. */
  const loneAgent = (id: string, options: Partial<AgentOptions> = {}) => {
    const url = proxy?.url ?? suite.server.url;
    return new Agent({ ...access, url, ...HEARTBEAT, handleSignals: false, id, ...options });
  };
  const agent = (id: string, options: Partial<AgentOptions> = {}) => suite.keep(loneAgent(id, options));
  return { access, coordinator, agent, loneAgent };
}

/** Events of an agent, each with its time. */
function heard(agent: Agent) {
  const events = new Stream<{ name: keyof AgentEvents; event: unknown; atMs: number }>();
  for (const name of ["registered", "connected", "disconnected", "outOfTouch", "revoked", "error"] as const)
    agent.listen(name, (event) => events.add({ name, event, atMs: performance.now() }));
  return {
    events,
    named: (name: keyof AgentEvents) => events.items.filter((item) => item.name === name),
    /** Milliseconds from then until the agent is connected in this way. */
    connected: async (transport: "socket" | "http", sinceMs: number) => {
      const { atMs } = await events.first(
        ({ name, event, atMs }) =>
          name === "connected" &&
          (event as AgentEvents["connected"]).transport === transport &&
          atMs >= sinceMs,
      );
      return atMs - sinceMs;
    },
  };
}

/** The treatment of sockets on their way: they pass, are cut, are never answered, or go silent. */
type Weather = "clear" | "cut" | "swallowed" | "silent";

/** The client's shortest pauses before it opens a socket again: each is twice as long as the one before. */
const SHORTEST_PAUSES_MS = [100, 200, 400];
/** A timer may fire a little early by another clock. */
const CLOCKS_APART_MS = 5;

function expectPausesBetween(openingsMs: readonly number[]): void {
  const pausesMs = openingsMs.slice(1).map((atMs, at) => atMs - (openingsMs[at] ?? atMs));
  console.log(`pauses before a socket was opened anew: ${pausesMs.map((ms) => ms.toFixed(0)).join(", ")} ms`);
  expect(pausesMs).toHaveLength(SHORTEST_PAUSES_MS.length);
  SHORTEST_PAUSES_MS.forEach((shortestMs, at) => {
    expect(pausesMs[at]).toBeGreaterThanOrEqual(shortestMs - CLOCKS_APART_MS);
  });
}

type Upgrade = { agentSide: Socket; serverSide: Socket; firstFrame: string | null; ended: Promise<unknown> };

/** A proxy between agents and the server: HTTP passes, sockets may be disturbed. */
class WeatherProxy implements AsyncDisposable {
  readonly upgrades: Upgrade[] = [];
  /** Sockets on which the agent has sent its first frame, so that it considers them open. */
  readonly opened = new Stream<Upgrade>();
  /** When each socket was refused. */
  readonly refusedAtMs = new Stream<number>();
  #weather: Weather = "clear";
  readonly #server: NetServer;
  readonly #sockets = new Set<Socket>();

  static async start(): Promise<WeatherProxy> {
    const proxy = new WeatherProxy();
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  private constructor() {
    this.#server = createServer((agentSide) => this.#carry(agentSide));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  set weather(weather: Weather) {
    this.#weather = weather;
    if (weather === "clear" || weather === "silent") return;
    for (const { agentSide, serverSide } of this.upgrades) {
      agentSide.destroy();
      serverSide.destroy();
    }
  }

  async [Symbol.asyncDispose]() {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #carry(agentSide: Socket): void {
    const serverSide = connect(suite.server.port, "127.0.0.1");
    let upgrade: Upgrade | null = null;
    let isSwallowed = false;
    for (const [one, other] of [
      [agentSide, serverSide],
      [serverSide, agentSide],
    ] as const) {
      this.#sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
    serverSide.on("data", (chunk) => {
      if (upgrade === null || this.#weather !== "silent") agentSide.write(chunk);
    });
    agentSide.on("data", (chunk) => {
      if (isSwallowed || (upgrade !== null && this.#weather === "silent")) return;
      if (upgrade !== null && upgrade.firstFrame === null) {
        upgrade.firstFrame = textOfFrame(chunk);
        this.opened.add(upgrade);
      } else if (upgrade !== null) {
        // Only the first frame matters.
      } else if (/^upgrade: websocket\r$/im.test(chunk.toString("latin1"))) {
        if (this.#weather !== "clear") this.refusedAtMs.add(performance.now());
        if (this.#weather === "swallowed") isSwallowed = true;
        else if (this.#weather !== "clear") agentSide.destroy();
        if (this.#weather !== "clear") return;
        const ended = new Promise((resolve) => serverSide.once("close", resolve));
        upgrade = { agentSide, serverSide, firstFrame: null, ended };
        this.upgrades.push(upgrade);
      }
      serverSide.write(chunk);
    });
  }
}

/** Of a short frame from a client, which is masked (RFC 6455); its number identifies a control frame. */
function textOfFrame(chunk: Buffer): string {
  const opcode = (chunk[0] ?? 0) & 0x0f;
  if (opcode !== 1) return `opcode ${opcode}`;
  const length = (chunk[1] ?? 0) & 0x7f;
  return Buffer.from(
    chunk.subarray(6, 6 + length).map((byte, at) => byte ^ (chunk[2 + (at % 4)] ?? 0)),
  ).toString();
}

const MANY = 10;

/** Submits many tasks and waits until all are done. @returns how long that took */
async function doMany(coordinator: DistributedCoordinator, name: string): Promise<number> {
  const fromMs = performance.now();
  const ids = Array.from({ length: MANY }, (_, at) => `${name}-${at}`);
  await coordinator.tasks.submitAll(ids.map((id) => ({ id, type: "work" })));
  const ended = await Promise.all(ids.map((id) => coordinator.tasks.wait(id)));
  expect(ended.map(({ status, attempt }) => [status, attempt])).toEqual(ids.map(() => ["completed", 1]));
  return performance.now() - fromMs;
}

describe("an agent whose socket is blocked", { timeout: TEST_LIMIT_MS }, () => {
  // A swallowed socket is given up after ten seconds: only the long form waits for that.
  it.each(IS_LONG ? (["cut", "swallowed", "silent"] as const) : (["cut", "silent"] as const))(
    "(%s) continues over HTTP, and returns to the socket when possible",
    async (weather) => {
      await using proxy = await WeatherProxy.start();
      const { coordinator, agent } = freshCluster(proxy);
      const worker = agent("a").on("work", () => delay(20, "done"));
      const aborted: string[] = [];
      worker.on("long", async (_, { signal }) => {
        signal.addEventListener("abort", () => aborted.push(String(signal.reason)));
        return delay(2 * TIMEOUT_MS, "long");
      });
      const { connected, named } = heard(worker);
      const beganMs = performance.now();
      await worker.start();
      await connected("socket", beganMs);
      const overHttp: number[] = [];
      const overSocket: number[] = [];
      const many: number[] = [];
      // A swallowed socket is given up after 10 s only.
      const rounds = weather === "swallowed" ? ROUNDS / 2 : ROUNDS;
      for (let round = 0; round < rounds; round++) {
        // The task runs all the while.
        await coordinator.tasks.submit({ id: `long-${round}`, type: "long" });
        await until(
          async () => (await coordinator.tasks.get(`long-${round}`)).status === "running",
          "the task to run",
        );
        const blockedMs = performance.now();
        proxy.weather = weather;
        overHttp.push(await connected("http", blockedMs));
        many.push(await doMany(coordinator, `blocked-${round}`));
        const clearMs = performance.now();
        proxy.weather = "clear";
        overSocket.push(await connected("socket", clearMs));
        await doMany(coordinator, `clear-${round}`);
        expect(await coordinator.tasks.wait(`long-${round}`, { waitSeconds: 30 })).toMatchObject({
          status: "completed",
          attempt: 1,
        });
      }
      console.log(
        `${weather}: ${figures("in touch over HTTP", overHttp)}; ${figures(`${MANY} tasks over HTTP`, many)}; ` +
          `${figures("back on the socket", overSocket)}; ${proxy.refusedAtMs.items.length} sockets refused`,
      );
      // Some time is left: the last sign of life of a silent socket may be an interval old.
      expect(Math.max(...overHttp)).toBeLessThan(0.8 * TIMEOUT_MS);
      expect([aborted, named("registered").length]).toEqual([[], 1]);
      expect(await coordinator.getFailureHistory()).toEqual([]);
    },
  );

  it("from the start works over HTTP, with few connection attempts", async () => {
    await using proxy = await WeatherProxy.start();
    proxy.weather = "cut";
    const { coordinator, agent } = freshCluster(proxy);
    const worker = agent("a").on("work", () => "done");
    const { connected } = heard(worker);
    const beganMs = performance.now();
    await worker.start();
    await connected("http", beganMs);
    await doMany(coordinator, "early");
    const { refusedAtMs } = proxy;
    await refusedAtMs.first(() => refusedAtMs.items.length > SHORTEST_PAUSES_MS.length);
    expectPausesBetween(refusedAtMs.items);
    proxy.weather = "clear";
    await connected("socket", beganMs);
    expect(await coordinator.getFailureHistory()).toEqual([]);
  });

  it("right after each opening makes few connection attempts", async () => {
    await using proxy = await WeatherProxy.start();
    const { coordinator, agent } = freshCluster(proxy);
    const worker = agent("a", { heartbeatIntervalSeconds: 2, heartbeatTimeoutSeconds: 6 });
    worker.on("work", () => "done");
    await worker.start();
    const openedAtMs: number[] = [];
    while (openedAtMs.length <= SHORTEST_PAUSES_MS.length) {
      await proxy.opened.first(() => proxy.opened.items.length > openedAtMs.length);
      openedAtMs.push(performance.now());
      proxy.weather = "cut";
      proxy.weather = "clear";
    }
    expectPausesBetween(openedAtMs);
    expect(proxy.upgrades).toHaveLength(openedAtMs.length);
    await doMany(coordinator, "flapping");
    expect(await coordinator.getFailureHistory()).toEqual([]);
  });
});

it("an agent sends a ping first, so that its connection can end", {
  timeout: TEST_LIMIT_MS,
}, async () => {
  await using proxy = await WeatherProxy.start();
  const { agent } = freshCluster(proxy);
  const endedMs: number[] = [];
  for (let opening = 0; opening < OPENINGS; opening++) {
    const worker = agent(`a${opening}`).on("work", () => "done");
    // Some are stopped while the socket is being opened, some right afterwards.
    if (opening % 2 === 0) {
      const { connected } = heard(worker);
      const beganMs = performance.now();
      await worker.start();
      await connected("socket", beganMs);
    } else await worker.start();
    await worker.stop({ graceSeconds: 0 });
    const stoppedMs = performance.now();
    await until(async () => proxy.upgrades.length > opening, "the socket");
    await proxy.upgrades[opening]?.ended;
    endedMs.push(performance.now() - stoppedMs);
  }
  console.log(figures("stopped to the end of its TCP connection", endedMs));
  expect(proxy.upgrades.map(({ firstFrame }) => firstFrame)).toEqual(
    Array.from({ length: OPENINGS }, () => "ping"),
  );
  expect(Math.max(...endedMs)).toBeLessThan(2000);
});

/** Blocks its event loop, then ignores its signal, as expensive work may, and reports what it saw of the signal. */
const BLOCKED_AGENT = `
  const [client, json] = process.argv.slice(1);
  const { Agent } = await import(client);
  const { blockMs, isInBeat, ...options } = JSON.parse(json);
  // Without using the processor: other agents may be blocked at the same time.
  const block = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockMs);
  let beats = 0;
  const load = () => {
    // A ping has just been sent: its answer will be unread when this ends.
    if (++beats === 3) {
      block();
      say("stood still");
    }
    return { cpu: 0, memory: 0 };
  };
  const say = (what, more) => process.stdout.write(JSON.stringify({ what, ...more }) + "\\n");
  const agent = new Agent(isInBeat ? { ...options, load } : options);
  agent.on("work", async (task, { signal, attempt }) => {
    say("began", { attempt });
    if (!isInBeat) block();
    const wokeMs = performance.now();
    await new Promise((resolve) => {
      if (signal.aborted) return resolve();
      signal.addEventListener("abort", resolve);
      setTimeout(resolve, 10_000);
    });
    say("woke", { reason: signal.reason?.reason ?? null, afterMs: performance.now() - wokeMs });
    return "of attempt " + attempt;
  });
  agent.listen("registered", ({ incarnation }) => say("registered", { incarnation }));
  agent.listen("connected", ({ transport }) => say("connected", { transport }));
  agent.listen("disconnected", ({ reason }) => say("disconnected", { reason }));
  agent.listen("outOfTouch", ({ seconds }) => say("outOfTouch", { seconds }));
  agent.listen("reported", ({ task }) => say("reported", { status: task.status, result: task.result }));
  agent.listen("lateResult", ({ error }) => say("late", { code: error.code, fate: error.evidence.late_result }));
  agent.listen("error", ({ error }) => say("error", { message: String(error) }));
  await agent.start();
  process.stdin.on("close", () => process.exit(0)).resume();
`;

type Said = { what: string; [more: string]: unknown };

class BlockedAgent implements AsyncDisposable {
  readonly said = new Stream<Said>();
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;

  constructor(options: Partial<AgentOptions> & { blockMs: number; isInBeat?: boolean }) {
    const client = join(PROJECT_ROOT, "client", "src", "index.ts");
    const words = ["--input-type=module", "-e", BLOCKED_AGENT, client, JSON.stringify(options)];
    const child = spawn(process.execPath, words, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    this.#closed = new Promise((resolve) => child.once("close", resolve));
    createInterface(child.stdout).on("line", (line) => this.said.add(JSON.parse(line) as Said));
  }

  async hear(what: string): Promise<Said> {
    const first = await Promise.race([this.said.first((said) => said.what === what), this.#closed]);
    if (first === null || typeof first !== "object") throw new Error(`it ended before it said "${what}"`);
    return first as Said;
  }

  async [Symbol.asyncDispose]() {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }
}

/**
 * Resolves when the coordinator has received a sign of life more than an interval from now: the agent has sent
 * heartbeats since.
 */
async function beatsOn(coordinator: DistributedCoordinator, id: string, intervalSeconds: number) {
  const fromMs = Date.now() + 1000 * intervalSeconds;
  await until(async () => {
    const { last_heartbeat_at } = await coordinator.agents.get(id);
    return Date.parse(last_heartbeat_at ?? "") > fromMs;
  }, `${id} to send its heartbeats`);
}

describe("an agent whose event loop was blocked for longer than its timeout", () => {
  // Concurrently, since each waits for the end of a blocked agent's timeout.
  it.concurrent.each(
    (["keep", "reject", "accept_if_unfinished"] as const).flatMap((policy) =>
      [false, true].map((aborts) => ({
        policy,
        aborts,
        how: aborts ? "by itself, at once" : "by the server",
      })),
    ),
  )(
    "is notified $how, and its late result is treated by the policy $policy",
    { timeout: TEST_LIMIT_MS },
    async ({ policy, aborts }) => {
      const { access, coordinator, loneAgent } = freshCluster();
      await using stack = new AsyncDisposableStack();
      await using blocked = new BlockedAgent({
        ...access,
        ...HEARTBEAT,
        id: "blocked",
        abortWhenOutOfTouch: aborts,
        blockMs: BLOCK_MS,
      });
      await blocked.hear("connected");
      await coordinator.tasks.submit({ id: "t1", type: "work", late_result_policy: policy });
      await blocked.hear("began");
      const heir = loneAgent("heir");
      stack.defer(() => heir.stop({ graceSeconds: 0 }));
      const reasons: string[] = [];
      heir.on("work", (_, { signal }) => delay(60_000, undefined, { signal }));
      heir.listen("revoked", ({ reason }) => reasons.push(reason));
      await heir.start();
      await until(async () => (await coordinator.tasks.get("t1")).assigned_to === "heir", "the task to move");
      expect(await coordinator.getFailureHistory()).toMatchObject([{ agent_id: "blocked" }]);

      const woke = await blocked.hear("woke");
      console.log(`blocked for ${BLOCK_MS} ms: ${woke.reason} ${Number(woke.afterMs).toFixed(0)} ms later`);
      if (aborts) expect(woke.reason).toBe("out_of_touch");
      else expect(woke.reason).toMatch(/reassigned|session_expired/);
      expect(woke.afterMs).toBeLessThan(aborts ? AT_ONCE_MS : TOLD_LIMIT_MS);

      const kept = { attempt: 1, agent_id: "blocked", result: "of attempt 1" };
      if (policy === "accept_if_unfinished") {
        expect(await blocked.hear("reported")).toMatchObject({ status: "completed", result: "of attempt 1" });
        await until(async () => reasons.length > 0, "the heir to be revoked");
        expect(reasons).toEqual(["late_result_accepted"]);
        const done: Partial<Task> = { status: "completed", result: "of attempt 1", assigned_to: "blocked" };
        expect(await coordinator.tasks.get("t1")).toMatchObject(done);
      } else {
        const fate = policy === "keep" ? "kept" : "rejected";
        expect(await blocked.hear("late")).toMatchObject({ code: "stale_attempt", fate });
        const { items } = await coordinator.tasks.lateResults("t1");
        expect(items).toMatchObject(policy === "keep" ? [kept] : []);
        expect(await coordinator.tasks.get("t1")).toMatchObject({ assigned_to: "heir", attempt: 2 });
      }
      // One more incarnation for the lost contact, and no further one. On a busy machine contact may be lost again.
      await beatsOn(coordinator, "blocked", HEARTBEAT.heartbeatIntervalSeconds);
      const failures = await coordinator.getFailureHistory();
      const losses = Math.max(
        failures.filter(({ agent_id }) => agent_id === "blocked").length,
        blocked.said.items.filter(({ what }) => what === "outOfTouch").length,
      );
      const incarnations = blocked.said.items.filter(({ what }) => what === "registered").length;
      const story = blocked.said.items.map(({ what }) => what).join(", ");
      expect(incarnations, story).toBeGreaterThan(1);
      expect(incarnations, story).toBeLessThanOrEqual(1 + losses);
      expect(blocked.said.items.filter(({ what }) => what === "error")).toEqual([]);
    },
  );

  it("(blocked for less than that) keeps its socket and its task", async () => {
    const { access, coordinator } = freshCluster();
    await using blocked = new BlockedAgent({
      ...access,
      heartbeatIntervalSeconds: 0.5,
      heartbeatTimeoutSeconds: 3,
      id: "blocked",
      blockMs: 2000,
      isInBeat: true,
    });
    await blocked.hear("registered");
    await coordinator.tasks.submit({ id: "t1", type: "work" });
    await blocked.hear("began");
    await blocked.hear("stood still");
    await beatsOn(coordinator, "blocked", 0.5);
    expect(blocked.said.items.filter(({ what }) => what === "disconnected")).toEqual([]);
    expect(await coordinator.tasks.get("t1")).toMatchObject({ status: "running", attempt: 1 });
    expect(await coordinator.getFailureHistory()).toEqual([]);
  });
});

describe("a coordinator that is down for three timeouts", { timeout: TEST_LIMIT_MS }, () => {
  it("causes no aborted handler and no task done twice: all are completed", async () => {
    const { coordinator, agent } = freshCluster();
    const began: string[] = [];
    const aborted: string[] = [];
    const fleet = (["socket", "http"] as const).map((transport) => {
      const worker = agent(transport, { transport, maxConcurrentTasks: 4 });
      worker.on<{ ms: number }>("work", async ({ id, data }, { signal }) => {
        began.push(id);
        signal.addEventListener("abort", () => aborted.push(`${id}: ${signal.reason}`));
        await delay(data.ms);
        return transport;
      });
      return { worker, transport, ...heard(worker) };
    });
    const beganMs = performance.now();
    await Promise.all(fleet.map(({ worker }) => worker.start()));
    await Promise.all(fleet.map(({ connected, transport }) => connected(transport, beganMs)));
    // Some tasks outlast the outage, some end in the middle of it, some have not started.
    const tasks = Array.from({ length: 20 }, (_, at) => ({
      id: `t${at}`,
      type: "work",
      data: { ms: at < 4 ? 5 * TIMEOUT_MS : at < 8 ? 2 * TIMEOUT_MS : 100 },
    }));
    await coordinator.tasks.submitAll(tasks);
    await until(async () => began.length === 8, "both to be busy");
    const leftMs = performance.now();
    await suite.server.kill();
    // The length of the outage is the subject of the test.
    await delay(3 * TIMEOUT_MS);
    await suite.server.restart();
    const backMs = performance.now();
    const again = await Promise.all(fleet.map(({ connected, transport }) => connected(transport, leftMs)));
    const ended = await Promise.all(tasks.map(({ id }) => coordinator.tasks.wait(id, { waitSeconds: 30 })));
    console.log(
      `away for ${(backMs - leftMs).toFixed(0)} ms, timeout ${TIMEOUT_MS} ms: ` +
        fleet
          .map(
            ({ transport }, at) =>
              `${transport} back after ${((again[at] ?? 0) - (backMs - leftMs)).toFixed(0)} ms`,
          )
          .join(", "),
    );
    expect(ended.map(({ status, attempt }) => [status, attempt])).toEqual(tasks.map(() => ["completed", 1]));
    expect(began.toSorted()).toEqual(tasks.map(({ id }) => id).toSorted());
    expect(aborted).toEqual([]);
    expect(fleet.map(({ named }) => named("outOfTouch").length > 0)).toEqual([true, true]);
    expect(fleet.flatMap(({ named }) => [...named("revoked"), ...named("error")])).toEqual([]);
    expect(fleet.map(({ named }) => named("registered").length)).toEqual([1, 1]);
    expect(await coordinator.getFailureHistory()).toEqual([]);
  });
});
