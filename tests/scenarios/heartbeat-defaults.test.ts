/** A new default of the heartbeat timeout reaches the live agents that chose no timeout of their own. */
import { describe, expect, it } from "vitest";
import type { ConfigInput } from "../../src/contract/config.ts";
import { good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

type Heartbeat = NonNullable<ConfigInput["heartbeat_config"]>;

const NO_TIMES = { heartbeat_interval_seconds: undefined, heartbeat_timeout_seconds: undefined };

/** Agents send heartbeats once a second. */
const clusterWith = (heartbeat: Heartbeat) => new ScriptedCluster({ heartbeat_config: heartbeat });

async function changeDefaults(cluster: ScriptedCluster, heartbeat: Heartbeat) {
  const change = cluster.cluster.coordinator.serve((service) =>
    service.config.patch({ heartbeat_config: heartbeat }, null),
  );
  await cluster.pass(50);
  return good(await change).applied;
}

function deadlineMs(cluster: ScriptedCluster, id: string): number {
  const [liveness] = cluster.cluster.group("default").serve((service) => service.liveness([id]));
  return Date.parse(liveness?.deadline_at ?? "");
}

describe("a new default timeout", () => {
  it("reaches agents that chose none, and says how many it reached and how many keep their own", async () => {
    const cluster = clusterWith({ interval_seconds: 1, timeout_seconds: 3 });
    await cluster.register("follows", NO_TIMES);
    await cluster.register("also-follows", { heartbeat_timeout_seconds: undefined });
    await cluster.register("own", { heartbeat_timeout_seconds: 3 });
    await cluster.register("gone", NO_TIMES);
    cluster.silence("gone");
    await cluster.pass(5000);
    expect(cluster.agent("gone").status).toBe("inactive");

    expect(await changeDefaults(cluster, { timeout_seconds: 8 })).toEqual({ agents: 2, keep_own: 1 });

    expect(cluster.agent("follows")).toMatchObject({
      heartbeat_interval_seconds: 1,
      heartbeat_timeout_seconds: 8,
    });
    expect(cluster.agent("own").heartbeat_timeout_seconds).toBe(3);
    for (const id of ["follows", "also-follows", "own"]) cluster.silence(id);
    await cluster.pass(4500);
    expect(cluster.agent("own").status).toBe("inactive");
    expect(cluster.agent("follows").status).toBe("active");
    await cluster.pass(4000);
    expect(cluster.agent("follows").status).toBe("inactive");
  });

  it.each([9000, 20_000])(
    "that is shorter leaves an agent one whole new timeout from the change, after %d ms of silence",
    async (silentMs) => {
      const cluster = clusterWith({ interval_seconds: 1, timeout_seconds: 60 });
      await cluster.register("a", NO_TIMES);
      cluster.silence("a");
      await cluster.pass(silentMs);

      await changeDefaults(cluster, { timeout_seconds: 10 });

      await cluster.pass(9500);
      expect(cluster.agent("a").status).toBe("active");
      await cluster.pass(1000);
      expect(cluster.agent("a").status).toBe("inactive");
      // The change is no outage of the coordinator.
      expect(cluster.eventTypes()).not.toContain("coordinator.paused");
    },
  );

  it("that is longer puts off the end of an agent that is silent already", async () => {
    const cluster = clusterWith({ interval_seconds: 1, timeout_seconds: 5 });
    await cluster.register("a", NO_TIMES);
    cluster.silence("a");
    await cluster.pass(4000);

    await changeDefaults(cluster, { timeout_seconds: 30 });

    await cluster.pass(25_000);
    expect(cluster.agent("a").status).toBe("active");
    await cluster.pass(6000);
    expect(cluster.failures()[0]).toMatchObject({
      failure_type: "heartbeat_timeout",
      details: { timeout_seconds: 30 },
    });
  });

  it("never falls below two of the intervals that the agent was told, until it registers again", async () => {
    const cluster = clusterWith({ interval_seconds: 10, timeout_seconds: 30 });
    await cluster.register("a", NO_TIMES);

    expect(await changeDefaults(cluster, { interval_seconds: 1, timeout_seconds: 4 })).toEqual({
      agents: 1,
      keep_own: 0,
    });
    expect(cluster.agent("a")).toMatchObject({
      heartbeat_interval_seconds: 10,
      heartbeat_timeout_seconds: 20,
    });

    await cluster.register("a", NO_TIMES);
    expect(cluster.agent("a")).toMatchObject({
      heartbeat_interval_seconds: 1,
      heartbeat_timeout_seconds: 4,
    });
  });

  it("survives a crash of the server", async () => {
    const cluster = clusterWith({ interval_seconds: 1, timeout_seconds: 3 });
    await cluster.register("a", NO_TIMES);
    await changeDefaults(cluster, { timeout_seconds: 20 });
    cluster.cluster.kill();
    cluster.cluster.start();

    const nowMs = cluster.world.nowMs;
    expect(deadlineMs(cluster, "a")).toBeGreaterThanOrEqual(Math.floor(nowMs) + 20_000);
    cluster.silence("a");
    await cluster.pass(19_000);
    expect(cluster.agent("a").status).toBe("active");
  });

  it("is no news to agents if the change leaves it as it is", async () => {
    const cluster = clusterWith({ interval_seconds: 1, timeout_seconds: 3 });
    await cluster.register("a", NO_TIMES);
    await cluster.register("own", { heartbeat_timeout_seconds: 3 });

    expect(await changeDefaults(cluster, { reconnect_grace_seconds: 1 })).toEqual({ agents: 0, keep_own: 0 });
  });
});

describe("a configuration file with another default timeout", () => {
  it("reaches live agents when the server starts with it", async () => {
    const cluster = clusterWith({ interval_seconds: 1, timeout_seconds: 3 });
    await cluster.register("a", NO_TIMES);
    cluster.cluster.kill();
    cluster.cluster.useFile({ heartbeat_config: { interval_seconds: 1, timeout_seconds: 9 } });
    cluster.cluster.start();
    await cluster.pass(50);

    expect(cluster.agent("a").heartbeat_timeout_seconds).toBe(9);
  });
});
