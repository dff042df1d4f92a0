/** Why an incarnation has ended decides what the agent does: it registers again, or it has ended for good. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { Agent, AgentEndedError, type AgentOptions } from "../../../client/src/index.ts";
import { coordinatorWithAgents, json, pass, problem, task } from "../fakes.ts";
import { agentOf, agentSuite, keep, reportsOf, worker } from "./agent-fixture.ts";

agentSuite();

const OTHER = "host2/77/0123456789abcdef";
const { exitCode } = process;
afterEach(() => {
  process.exitCode = exitCode;
});

/** An agent with a running task; every call with its first token is answered with the end of that incarnation. */
async function expired(evidence: object, options: Partial<AgentOptions> = {}) {
  const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
  const { agent, heard } = agentOf(coordinator, options);
  const stopped: unknown[] = [];
  const running = worker(agent);
  await agent.start();
  coordinator.hold(task("t1"));
  await pass(0.5);
  const isOld = (headers: Headers) => headers.get("Authorization") === "Bearer token-1";
  const end = () => problem(410, "session_expired", evidence);
  coordinator.fake
    .on("POST", /heartbeat$/, ({ headers }) => (isOld(headers) ? end() : json({})))
    .on("GET", /tasks$/, async ({ headers }) =>
      isOld(headers) ? end() : json({ items: [{ ...task("t1"), status: "running" }], next_cursor: null }),
    );
  agent.listen("stopped", ({ error }) => stopped.push(error));
  return { coordinator, agent, heard, running, stopped };
}

const instanceOf = (registration: { body: object } | undefined) =>
  (registration?.body as { instance?: string } | undefined)?.instance;

describe("the incarnation of an agent has ended", () => {
  it.each([
    { reason: "failed" },
    { reason: "expired" },
    { reason: "restored" },
    { reason: "of a newer server" },
    {},
  ])("%o: the same process registers again and keeps its task", async (evidence) => {
    const { coordinator, running, stopped } = await expired(evidence);
    await pass(5);
    expect(coordinator.registrations.map(({ body }) => body.running_tasks)).toEqual([
      [],
      [{ task_id: "t1", attempt: 1 }],
    ]);
    const [first, second] = coordinator.registrations.map(instanceOf);
    expect(first).toMatch(new RegExp(`^[\\w.-]+/${process.pid}/[0-9a-f]{16}$`));
    expect(second).toBe(first);
    expect([running[0]?.signal.aborted, stopped]).toEqual([false, []]);
  });

  it("superseded: the agent sends one last heartbeat, aborts its handlers, and stops with an error that names the other process", async () => {
    const { coordinator, heard, running, stopped } = await expired({
      reason: "superseded",
      superseded_by: OTHER,
    });
    await pass(1);
    const beats = coordinator.fake.made("POST", /heartbeat$/);
    await pass(60);
    const tokens = beats.map(({ headers }) => headers.get("Authorization"));
    // At its start, the one that was refused, and the last one.
    expect(tokens).toEqual(["Bearer token-1", "Bearer token-1", "Bearer token-1"]);
    expect(coordinator.fake.made("POST", /heartbeat$/)).toHaveLength(3);
    expect(coordinator.registrations).toHaveLength(1);
    expect(coordinator.fake.made("DELETE", /./)).toEqual([]);
    expect(coordinator.fake.made("POST", /drain$/)).toEqual([]);
    expect(running[0]?.signal.reason).toMatchObject({ reason: "superseded" });
    expect(stopped).toEqual([expect.any(AgentEndedError)]);
    expect(stopped).toMatchObject([{ reason: "superseded", supersededBy: OTHER }]);
    expect(heard.error).toEqual([{ error: stopped[0] }]);
    expect(String(stopped[0])).toBe(
      `AgentEndedError: agent a has ended: another process, ${OTHER}, has registered this agent id; each process needs an id of its own`,
    );
  });

  it("superseded by a process that has not said its name: the error says so much", async () => {
    const { stopped } = await expired({ reason: "superseded", superseded_by: null });
    await pass(3);
    expect(String(stopped[0])).toContain("another process has registered this agent id");
  });

  it("superseded by a registration of its own whose answer was lost: the agent registers again", async () => {
    const { coordinator, stopped } = await expired({});
    const superseded_by = instanceOf(coordinator.registrations[0]);
    coordinator.fake.on("POST", /heartbeat$/, ({ headers }) =>
      headers.get("Authorization") === "Bearer token-1"
        ? problem(410, "session_expired", { reason: "superseded", superseded_by })
        : json({}),
    );
    await pass(5);
    expect([coordinator.registrations.length, stopped]).toEqual([2, []]);
  });

  it.each([
    { reason: "unregistered", says: "the agent was unregistered by another caller" },
    { reason: "revoked", says: "the token that registered the agent was revoked" },
  ])("$reason: the agent stops with an error that says why", async ({ reason, says }) => {
    const { coordinator, running, stopped } = await expired({ reason });
    await pass(60);
    expect(coordinator.registrations).toHaveLength(1);
    expect(coordinator.fake.made("DELETE", /./)).toEqual([]);
    // At its start, and the one that was refused.
    expect(coordinator.fake.made("POST", /heartbeat$/)).toHaveLength(2);
    expect(running[0]?.signal.reason).toMatchObject({ reason });
    expect(stopped).toMatchObject([{ reason, message: expect.stringContaining(says) }]);
  });

  it("failed, and another process has got the id meanwhile: the agent stops", async () => {
    const { coordinator, stopped } = await expired({ reason: "failed" });
    coordinator.fake.on("PUT", /agents/, () => problem(409, "agent_live", { instance: OTHER }));
    await pass(60);
    expect(stopped).toMatchObject([{ reason: "superseded", supersededBy: OTHER }]);
  });

  it("superseded while it stops: the rest of its grace is not waited for", async () => {
    const { agent, running, stopped } = await expired({ reason: "superseded", superseded_by: OTHER });
    const stopping = agent.stop({ graceSeconds: 3600 });
    await pass(3);
    await stopping;
    expect(running[0]?.signal.reason).toMatchObject({ reason: "superseded" });
    expect(stopped).toMatchObject([{ reason: "superseded" }]);
  });

  it("superseded: calls of the program end with the error", async () => {
    const evidence = { reason: "superseded", superseded_by: OTHER };
    const { agent, coordinator, stopped } = await expired(evidence);
    coordinator.fake.on("POST", /acquire$/, () => problem(410, "session_expired", evidence));
    const lock = agent.withLock("db/orders", () => "never").catch((error: unknown) => error);
    await pass(3);
    expect(await lock).toBe(stopped[0]);
  });

  it("superseded, and the last heartbeat is not answered: the agent stops nevertheless", async () => {
    const { coordinator, stopped } = await expired({ reason: "superseded", superseded_by: OTHER });
    coordinator.fake.inTurn(
      "POST",
      /heartbeat$/,
      () => problem(410, "session_expired", { reason: "superseded", superseded_by: OTHER }),
      () => new Promise(() => {}),
    );
    await pass(30);
    expect(stopped).toHaveLength(1);
  });

  it("a result that is done at that time is not reported", async () => {
    const { coordinator, running } = await expired({ reason: "superseded", superseded_by: OTHER });
    await pass(0.6);
    running[0]?.end("done");
    await pass(3);
    expect(reportsOf(coordinator, "complete")).toEqual([]);
  });
});

describe("a program that does not listen", () => {
  const ended = async (options: Partial<AgentOptions>) => {
    const printed = vi.spyOn(console, "error").mockReturnValue();
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    const agent = new Agent({ ...coordinator.fake.options, id: "a", transport: "http", ...options });
    keep(agent);
    await agent.start();
    coordinator.fake.on("POST", /heartbeat$/, () => problem(410, "session_expired", { reason: "revoked" }));
    return { agent, printed };
  };

  it("reads the error on stderr, and the process ends with code 1", async () => {
    const { printed } = await ended({});
    await pass(5);
    expect(printed.mock.calls).toEqual([[expect.any(AgentEndedError)]]);
    expect(process.exitCode).toBe(1);
  });

  it("keeps its exit code if the client does not handle signals", async () => {
    const { printed } = await ended({ handleSignals: false });
    await pass(5);
    expect(printed).toHaveBeenCalledTimes(1);
    expect(process.exitCode).toBe(exitCode);
  });

  it("keeps its exit code if it listens to the end of the agent", async () => {
    const { agent } = await ended({});
    const stopped: unknown[] = [];
    agent.listen("stopped", ({ error }) => stopped.push(error));
    await pass(5);
    expect([stopped.length, process.exitCode]).toEqual([1, exitCode]);
  });
});
