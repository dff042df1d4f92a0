/** Agents over a fake socket for tests on a stopped clock. */
import { beforeEach } from "vitest";
import { Agent, type AgentEvents, type AgentOptions } from "../../../client/src/index.ts";
import { coordinatorWithAgents, FakeSocket, json, pass } from "../fakes.ts";
import { agentSuite, keep } from "./agent-fixture.ts";

/** As `agentSuite`, with a fake `WebSocket`. */
export function socketSuite(): void {
  agentSuite();
  beforeEach(() => FakeSocket.use());
}

export async function connectedAgent(
  options: Partial<AgentOptions> = {},
  coordinator = coordinatorWithAgents(),
) {
  const agent = new Agent({ ...coordinator.fake.options, id: "a", handleSignals: false, ...options });
  keep(agent);
  const running: {
    id: string;
    signal: AbortSignal;
    end(result?: unknown): void;
    fail(error: unknown): void;
  }[] = [];
  agent.on("work", (task, { signal }) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    running.push({ id: task.id, signal, end: resolve, fail: reject });
    return promise;
  });
  const heard: string[] = [];
  const names: (keyof AgentEvents)[] = [
    "connected",
    "disconnected",
    "revoked",
    "reported",
    "lateResult",
    "drain",
    "error",
  ];
  for (const name of names) {
    agent.listen(name, (event) =>
      heard.push(
        `${name} ${"transport" in event ? event.transport : "reason" in event ? event.reason : ""}`.trim(),
      ),
    );
  }
  await agent.start();
  await pass(0.1);
  const beats = () => coordinator.fake.made("POST", /heartbeat$/).length;
  return { agent, running, heard, coordinator, beats };
}

/** Answers the latest request of that type. */
export function acknowledge(type: string, more: object = {}): void {
  const request = FakeSocket.latest.requests(type).at(-1);
  if (request === undefined) throw new Error(`no ${type} was sent`);
  FakeSocket.latest.push({ type: "ack", request_id: request.request_id, ...more });
}

export async function agentWithMessages() {
  const { fake } = coordinatorWithAgents();
  fake
    .on("GET", /messages$/, () => json({ items: [], next_cursor: null }))
    .on("POST", /ack$/, () => json(undefined));
  const agent = new Agent({ ...fake.options, id: "a", handleSignals: false });
  keep(agent);
  const handled: string[] = [];
  agent.onMessage(({ id }) => handled.push(id));
  await agent.start();
  await pass(0.1);
  return { handled, acknowledgedOverHttp: () => fake.made("POST", /ack$/).map(({ path }) => path) };
}
