/** Agents over HTTP for tests on a stopped clock. */
import { afterEach, beforeEach } from "vitest";
import { Agent, type AgentEvents, type AgentOptions } from "../../../client/src/index.ts";
import { type coordinatorWithAgents, pass, startTime, stopTime } from "../fakes.ts";

const started: Agent[] = [];

/** Stops the clock for each test of the file, and stops its agents afterwards. */
export function agentSuite(): void {
  beforeEach(stopTime);
  afterEach(async () => {
    for (const agent of started.splice(0)) void agent.stop({ graceSeconds: 0 });
    await pass(2);
    startTime();
  });
}

/** Has the agent stopped after the test. */
export function keep(agent: Agent): void {
  started.push(agent);
}

type Names = keyof AgentEvents;

export function agentOf(
  coordinator: ReturnType<typeof coordinatorWithAgents>,
  options: Partial<AgentOptions> = {},
) {
  const agent = new Agent({
    ...coordinator.fake.options,
    id: "a",
    transport: "http",
    handleSignals: false,
    ...options,
  });
  keep(agent);
  const heard: { [Name in Names]?: AgentEvents[Name][] } = {};
  const names: Names[] = [
    "registered",
    "connected",
    "disconnected",
    "outOfTouch",
    "revoked",
    "reported",
    "lateResult",
    "error",
  ];
  for (const name of names) {
    agent.listen(name, (event) => {
      const before = (heard[name] ?? []) as unknown[];
      Object.assign(heard, { [name]: [...before, event] });
    });
  }
  return { agent, heard };
}

/** Sets a handler whose attempts end when the test ends them. */
export function worker(agent: Agent) {
  const running: {
    id: string;
    attempt: number;
    signal: AbortSignal;
    end(result?: unknown): void;
    fail(error: unknown): void;
  }[] = [];
  agent.on("work", (task, { signal }) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    running.push({ id: task.id, attempt: task.attempt, signal, end: resolve, fail: reject });
    return promise;
  });
  return running;
}

export const reportsOf = (coordinator: ReturnType<typeof coordinatorWithAgents>, kind: string) =>
  coordinator.fake
    .made("POST", new RegExp(`^/tasks/[^/]+/${kind}$`))
    .map(({ path, body }) => [path.split("/")[2], body]);
