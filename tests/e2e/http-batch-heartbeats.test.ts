/** Heartbeats of many agents in one call, as a gateway sends them. */
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { ErrorCode } from "../../src/contract/problem.ts";
import { apiOfThisFile } from "../support/checked-cluster.ts";
import { actUntilSilentAgentFails } from "../support/silent-agent.ts";

const api = apiOfThisFile();

const Results = z.object({
  results: z.array(z.object({ id: z.string(), ok: z.boolean(), code: ErrorCode.optional() })),
});

const HEARTBEATS = "/groups/default/heartbeats";

describe("heartbeats in a batch", () => {
  it("show that each agent is live, with its load, and are answered in order", async () => {
    const cluster = api.cluster();
    const one = await cluster.register("a1");
    const other = await cluster.register("a2");
    const before = Date.parse((await cluster.agent("a1")).last_heartbeat_at ?? "");

    const answer = await cluster.post(HEARTBEATS, {
      agents: [
        { id: "a2", incarnation: other.incarnation },
        { id: "nobody", incarnation: 1 },
        { id: "a1", incarnation: one.incarnation, load: { cpu: 0.5, memory: 0.25 } },
        { id: "a1", incarnation: one.incarnation + 1 },
      ],
    });

    expect(answer.as(200, Results).results).toEqual([
      { id: "a2", ok: true },
      { id: "nobody", ok: false, code: "session_expired" },
      { id: "a1", ok: true },
      { id: "a1", ok: false, code: "session_expired" },
    ]);
    const agent = await cluster.agent("a1");
    expect(agent.load).toEqual({ cpu: 0.5, memory: 0.25 });
    expect(Date.parse(agent.last_heartbeat_at ?? "")).toBeGreaterThan(before);
  });

  it("keep agents active past their timeout", async () => {
    const cluster = api.cluster();
    const timing = { heartbeat_interval_seconds: 0.2, heartbeat_timeout_seconds: 1 };
    const { incarnation } = await cluster.register("a1", timing);
    await actUntilSilentAgentFails(cluster.unchecked, timing, async () => {
      const answer = await cluster.post(HEARTBEATS, { agents: [{ id: "a1", incarnation }] });
      expect(answer.as(200, Results).results).toEqual([{ id: "a1", ok: true }]);
    });
    expect((await cluster.agent("a1")).status).toBe("active");
  });

  it("may be a thousand, and not one more", async () => {
    const cluster = api.cluster();
    const agents = Array.from({ length: 1000 }, (_, index) => ({ id: `a${index}`, incarnation: 1 }));
    const { results } = (await cluster.post(HEARTBEATS, { agents })).as(200, Results);
    expect(results.map(({ id }) => id)).toEqual(agents.map(({ id }) => id));
    const tooMany = { agents: [...agents, { id: "b", incarnation: 1 }] };
    (await cluster.post(HEARTBEATS, tooMany)).problem(400, "invalid_request");
    (await cluster.post(HEARTBEATS, { agents: [] })).problem(400, "invalid_request");
  });

  it.each([
    { what: "without an incarnation", agent: { id: "a1" }, path: "agents[0].incarnation" },
    {
      what: "with a load out of bounds",
      agent: { id: "a1", incarnation: 1, load: { cpu: 2, memory: 0 } },
      path: "agents[0].load.cpu",
    },
    {
      what: "with an unknown field",
      agent: { id: "a1", incarnation: 1, alive: true },
      path: "agents[0].alive",
    },
  ])("are refused $what", async ({ agent, path }) => {
    const answer = await api.cluster().post(HEARTBEATS, { agents: [agent] });
    const { errors } = answer.problem(400, "invalid_request");
    expect(errors?.map((error) => error.path)).toEqual([path]);
  });

  it("are refused to agents: only an administrator may send them", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1");
    const agents = [{ id: "a1", incarnation: agent.incarnation }];
    (await agent.request("POST", HEARTBEATS, { agents })).problem(403, "forbidden");
  });
});
