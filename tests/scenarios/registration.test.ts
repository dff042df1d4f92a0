/** Registration of agents, and an operator's heartbeat on behalf of the live incarnation. */
import { describe, expect, it } from "vitest";
import type { Registration } from "../../src/contract/agent.ts";
import { instant } from "../../src/contract/instant.ts";
import { ADMIN } from "../../src/domain/principal.ts";
import { bad, good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const BODY: Registration = {
  type: "worker",
  capabilities: [],
  max_concurrent_tasks: 1,
  heartbeat_interval_seconds: 1,
  heartbeat_timeout_seconds: 3,
  labels: {},
  running_tasks: [],
};

describe("a registration", () => {
  it("is answered with the first sign of life and a deadline that the group respects", async () => {
    const cluster = new ScriptedCluster();
    const { world } = cluster;
    const registeredAtMs = world.nowMs;
    const answer = cluster.cluster.coordinator.serve((service) =>
      service.register({ group: "default", agentId: "a" }, BODY, ADMIN),
    );
    await cluster.pass(1000);
    const { agent } = good(await answer);
    expect(agent).toMatchObject({
      registered_at: instant(registeredAtMs),
      last_heartbeat_at: instant(registeredAtMs),
      deadline_at: instant(registeredAtMs + 3000),
    });
    const [liveness] = cluster.cluster.group("default").serve((service) => service.liveness(["a"]));
    expect(Date.parse(liveness?.deadline_at ?? "")).toBeGreaterThanOrEqual(registeredAtMs + 3000);
  });
});

describe("a heartbeat of an operator", () => {
  it("counts for the live incarnation", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    cluster.silence("a");
    const group = cluster.cluster.group("default");
    await cluster.pass(2000);
    const { deadline_at } = good(group.serve((service) => service.heartbeat("a", {}, ADMIN)));
    expect(deadline_at).toBe(instant(cluster.world.nowMs + 3000));
  });

  it("is refused by the group for an agent that is not live in it", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    const answerOf = (group: string, agentId: string) =>
      cluster.cluster.group(group).serve((service) => service.heartbeat(agentId, {}, ADMIN));
    expect(bad(answerOf("default", "nobody")).code).toBe("not_found");
    expect(bad(answerOf("elsewhere", "a")).code).toBe("not_found");
    cluster.silence("a");
    await cluster.pass(10_000);
    expect(bad(answerOf("default", "a")).code).toBe("not_found");
  });
});
