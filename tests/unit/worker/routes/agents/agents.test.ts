/** Which objects a call about an agent reaches: each is a round trip that the agent waits for. */
import { describe, expect, it } from "vitest";
import { ok } from "../../../../../src/contract/problem.ts";
import { ADMIN, type Principal } from "../../../../../src/domain/principal.ts";
import { agentView } from "../../../../../src/services/coordinator/wire-views.ts";
import { agentRoutes } from "../../../../../worker/routes/agents/agents.ts";
import { heartbeatRoutes } from "../../../../../worker/routes/agents/heartbeats.ts";
import { agentPrincipal } from "../../../../support/principals.ts";
import { agentRecord } from "../../../../support/records.ts";
import { appWith, recordedObjects } from "../../worker-app.ts";

const AGENT_PATH = "/v1/clusters/c/groups/default/agents/a";
const AGENT = agentView(agentRecord(), 0, 0);

const ANSWERS: Record<string, unknown> = {
  "group.heartbeat": ok({
    status: "active",
    deadline_at: "2026-01-01T00:00:00.000Z",
    assigned_tasks: 0,
    unread_messages: 0,
    tasks_changed: false,
  }),
  "group.liveness": [],
  "coordinator.agent": ok(AGENT),
  "coordinator.register": ok({ agent: AGENT, isNew: true }),
};

function routesFor(principal: Principal) {
  const { env, calls } = recordedObjects(ANSWERS);
  const app = appWith([...agentRoutes, ...heartbeatRoutes], { principal });
  const request = async (method: string, path: string, body: unknown) => {
    const headers = { "Content-Type": "application/json" };
    const init = { method, headers, body: JSON.stringify(body) };
    return (await app.request(path, init, env)).status;
  };
  return { calls, request };
}

describe("a heartbeat", () => {
  it.each([
    ["an agent's", agentPrincipal("a", 1, { cluster: "c" })],
    ["an operator's", ADMIN],
  ])("calls the agent's group alone: %s", async (_, principal) => {
    const { calls, request } = routesFor(principal);
    expect(await request("POST", `${AGENT_PATH}/heartbeat`, {})).toBe(200);
    expect(calls).toEqual(["group.heartbeat"]);
  });
});

describe("a registration", () => {
  it("calls the coordinator alone, which tells the group", async () => {
    const { calls, request } = routesFor(ADMIN);
    expect(await request("PUT", AGENT_PATH, { type: "worker", capabilities: [] })).toBe(201);
    expect(calls).toEqual(["coordinator.register"]);
  });
});
