/** Draining and resuming agents: permissions, answers, and the effect on tasks. */
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { Agent } from "../../src/contract/agent.ts";
import {
  type Answer,
  apiOfThisFile,
  type CheckedCluster,
  type TestAgent,
} from "../support/checked-cluster.ts";

const api = apiOfThisFile();

const agentIn = (answer: Answer) => answer.as(200, z.object({ agent: Agent })).agent;

/** Agent a1 runs `running` and has not started `waiting`; a2 can take over. */
async function working(): Promise<{ cluster: CheckedCluster; agent: TestAgent }> {
  const cluster = api.cluster();
  const agent = await cluster.register("a1");
  await cluster.submit({ id: "running" });
  await cluster.submit({ id: "waiting" });
  await agent.reported("start", "running");
  await cluster.register("a2");
  return { cluster, agent };
}

describe("draining", () => {
  it("can be requested by the agent itself, and answers with the agent", async () => {
    const { cluster, agent } = await working();

    const drained = agentIn(await agent.request("POST", `${agent.path}/drain`));

    expect(drained).toMatchObject({
      id: "a1",
      status: "draining",
      drain: { mode: "finish", by: "agent", deadline_at: null },
      task_count: 1,
      deadline_at: expect.any(String),
    });
    expect(await cluster.agent("a1")).toMatchObject({ status: "draining", drain: drained.drain });
    expect(await cluster.task("waiting")).toMatchObject({ assigned_to: "a2", reassignment_count: 0 });
    expect((await cluster.decisions("waiting")).items.at(-1)?.reason).toBe("agent_drained");
    expect(await agent.reported("complete", "running")).toMatchObject({ status: "completed" });
    expect((await cluster.failures()).items).toEqual([]);
    const { items } = await cluster.agents({ status: "draining" });
    expect(items.map(({ id }) => id)).toEqual(["a1"]);
    expect((await cluster.status()).agents_by_status).toMatchObject({ active: 1, draining: 1 });
  });

  it("by an operator takes the running tasks at the deadline", async () => {
    const { cluster, agent } = await working();

    const body = { mode: "move", deadline_seconds: 0.5 };
    const drained = agentIn(await cluster.post(`${agent.path}/drain`, body));

    expect(drained.drain).toMatchObject({ mode: "move", by: "operator" });
    expect(await cluster.task("running")).toMatchObject({ status: "running", assigned_to: "a1" });
    const moved = await cluster.taskOnce("running", (task) => task.attempt === 2, "the deadline");
    expect(moved).toMatchObject({ assigned_to: "a2", reassignment_count: 0 });
    expect(Date.parse(moved.assigned_at ?? "")).toBeGreaterThanOrEqual(
      Date.parse(drained.drain?.deadline_at ?? ""),
    );
    (await agent.report("progress", "running", { progress: 0.9 })).problem(409, "stale_attempt");
  });

  it("ends when the agent resumes, also if an operator requested it", async () => {
    const { cluster, agent } = await working();
    const resume = () => agent.request("POST", `${agent.path}/resume`);
    expect(agentIn(await resume()).status).toBe("active");
    agentIn(await agent.request("POST", `${agent.path}/drain`, { mode: "finish" }));
    expect(agentIn(await resume())).toMatchObject({ status: "active", drain: null });

    agentIn(await cluster.post(`${agent.path}/drain`));
    (await resume()).problem(403, "forbidden");
    expect(agentIn(await cluster.post(`${agent.path}/resume`)).status).toBe("active");

    const types = (await cluster.eventsSoFar()).filter(({ subject }) => subject === "a1");
    expect(types.map(({ type }) => type)).toEqual([
      "agent.registered",
      "agent.draining",
      "agent.active",
      "agent.draining",
      "agent.active",
    ]);
  });

  it.each([
    { what: "another mode", body: { mode: "stop" }, path: "mode" },
    { what: "a deadline in the past", body: { deadline_seconds: -1 }, path: "deadline_seconds" },
    { what: "a deadline beyond 30 days", body: { deadline_seconds: 2_592_001 }, path: "deadline_seconds" },
    { what: "an unknown field", body: { deadline: 1 }, path: "deadline" },
  ])("refuses $what", async ({ body, path }) => {
    const { agent, cluster } = await working();
    const { errors } = (await cluster.post(`${agent.path}/drain`, body)).problem(400, "invalid_request");
    expect(errors?.map((error) => error.path)).toEqual([path]);
    expect((await cluster.agent("a1")).status).toBe("active");
  });

  it("is refused to other agents, for unknown agents, in another group, and for agents that are not live", async () => {
    const { cluster, agent } = await working();
    const other = await cluster.register("a3");
    for (const verb of ["drain", "resume"]) {
      (await other.request("POST", `${agent.path}/${verb}`)).problem(403, "forbidden");
      (await cluster.post(`/groups/default/agents/nobody/${verb}`)).problem(404, "not_found");
      (await cluster.post(`/groups/elsewhere/agents/a1/${verb}`)).problem(404, "not_found");
    }
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });
    (await agent.request("POST", `${agent.path}/drain`)).problem(410, "session_expired");
    (await agent.request("POST", `${agent.path}/resume`)).problem(410, "session_expired");
    (await cluster.post(`${agent.path}/drain`)).problem(409, "invalid_transition");
  });
});
