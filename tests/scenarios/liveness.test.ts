/** What does not count as the silence of an agent: a heartbeat that waits in a queue, and an outage of the coordinator. */
import { describe, expect, it } from "vitest";
import { agentPrincipal } from "../support/principals.ts";
import { good, granted, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const group = (cluster: ScriptedCluster) => cluster.cluster.group("default");

/** The agent `a`, which is silent from now on, and its deadline. */
async function silentAgent() {
  const cluster = new ScriptedCluster();
  await cluster.register("a");
  cluster.silence("a");
  const [liveness] = group(cluster).serve((service) => service.liveness(["a"]));
  return { cluster, deadlineMs: Date.parse(liveness?.deadline_at ?? "") };
}

const heartbeat = (cluster: ScriptedCluster) =>
  group(cluster).serve((service) =>
    service.heartbeat("a", {}, agentPrincipal("a", cluster.incarnationOf("a"))),
  );

describe("an agent whose deadline has passed", () => {
  it("lives on if its heartbeat is processed right after the alarm", async () => {
    const { cluster, deadlineMs } = await silentAgent();
    await cluster.pass(deadlineMs - cluster.world.nowMs + 15);
    good(heartbeat(cluster));
    await cluster.pass(2500);
    expect(cluster.failures()).toEqual([]);
    await cluster.pass(1000);
    expect(cluster.failures()).toMatchObject([{ agent_id: "a", failure_type: "heartbeat_timeout" }]);
  });

  it("is declared failed by the second check if nothing arrives", async () => {
    const { cluster, deadlineMs } = await silentAgent();
    await cluster.pass(deadlineMs - cluster.world.nowMs + 15);
    expect(cluster.failures()).toEqual([]);
    await cluster.pass(100);
    expect(cluster.failures()).toMatchObject([{ agent_id: "a", failure_type: "heartbeat_timeout" }]);
  });
});

describe("after an outage of the coordinator", () => {
  it("a lock lasts for its whole TTL again, and then ends", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    const principal = agentPrincipal("a", cluster.incarnationOf("a"));
    granted(
      group(cluster).serve((service) =>
        service.locks.acquire("db", { agent_id: "a", ttl_seconds: 2 }, principal),
      ),
    );
    cluster.cluster.kill();
    await cluster.pass(4000);
    cluster.cluster.start();
    const lock = () => group(cluster).serve((service) => service.locks.get("db"));
    expect(good(lock()).holder).toBe("a");
    await cluster.pass(1800);
    expect(good(lock()).holder).toBe("a");
    await cluster.pass(400);
    expect(lock().ok).toBe(false);
    expect(cluster.failures()).toEqual([]);
  });
});
