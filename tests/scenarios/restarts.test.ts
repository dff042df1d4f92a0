/** Agents whose process is replaced while it is live: a crash with a quick restart, and two processes with one id. */
import { describe, expect, it } from "vitest";
import type { ConfigInput } from "../../src/contract/config.ts";
import { ADMIN } from "../../src/domain/principal.ts";
import { agentPrincipal } from "../support/principals.ts";
import { bad, good, granted, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const FIRST = { instance: "host/1/first" };
const SECOND = { instance: "host/2/second" };
const THIRD = { instance: "host/3/third" };

/** Agent `a` in its first process, which runs the task `t`. */
async function atWork(config: ConfigInput = {}): Promise<ScriptedCluster> {
  const cluster = new ScriptedCluster(config);
  await cluster.register("a", FIRST);
  await cluster.submit({ id: "t" });
  good(cluster.start("t", "a", 1));
  await cluster.pass(500);
  return cluster;
}

const typesOf = (cluster: ScriptedCluster) => cluster.failures().map(({ failure_type }) => failure_type);

/** Without the tasks that wait while the only agent is gone. */
const failuresOfAgent = (cluster: ScriptedCluster) =>
  typesOf(cluster).filter((type) => type !== "no_suitable_agent");

/** Registers another process, which must be refused. */
async function refused(cluster: ScriptedCluster, instance: string) {
  const answer = cluster.cluster.coordinator.serve((service) =>
    service.register(
      { group: "default", agentId: "a" },
      {
        type: "worker",
        capabilities: ["resize"],
        max_concurrent_tasks: 10,
        labels: {},
        running_tasks: [],
        instance,
      },
      ADMIN,
    ),
  );
  await cluster.pass(200);
  return bad(await answer);
}

/** A heartbeat of an incarnation that may have ended. */
function heartbeat(cluster: ScriptedCluster, incarnation: number) {
  return cluster.cluster
    .group("default")
    .serve((service) => service.heartbeat("a", {}, agentPrincipal("a", incarnation)));
}

describe("a process that takes the id of a live agent", () => {
  it("is recorded once, as a crash of the process before", async () => {
    const cluster = await atWork();
    const before = cluster.agent("a");
    const lock = cluster.cluster
      .group("default")
      .serve((service) =>
        service.locks.acquire("db", { agent_id: "a" }, agentPrincipal("a", before.incarnation)),
      );
    granted(lock);
    await cluster.register("a", SECOND);

    const [failure, ...others] = cluster.failures();
    expect(others).toEqual([]);
    expect(failure).toMatchObject({
      agent_id: "a",
      failure_type: "agent_restarted",
      severity: "warning",
      tasks_reassigned: 1,
      locks_released: ["db"],
      details: {
        incarnation: before.incarnation,
        replaced_instance: FIRST.instance,
        instance: SECOND.instance,
      },
    });
    expect(failure?.detection_seconds).toBeGreaterThan(0);
    expect(failure?.detection_seconds).toBeLessThanOrEqual(1.1);
    const agent = cluster.agent("a");
    expect(agent).toMatchObject({ status: "active", failure_count: 1, cooldown_until: null });
    expect(agent.reliability).toBeLessThan(before.reliability);
    expect(cluster.eventTypes()).toContain("failure.failed_over");
  });

  it("gets a started task once more, and after the second crash another agent gets the task", async () => {
    const cluster = await atWork();
    await cluster.register("b");
    await cluster.register("a", SECOND);
    expect(cluster.task("t")).toMatchObject({
      status: "assigned",
      assigned_to: "a",
      attempt: 2,
      reassignment_count: 1,
      previous_agents: [],
    });
    good(cluster.start("t", "a", 2));
    await cluster.register("a", THIRD);
    expect(cluster.task("t")).toMatchObject({
      assigned_to: "b",
      attempt: 3,
      reassignment_count: 2,
      previous_agents: ["a"],
    });
    expect(cluster.decisions("t").map(({ reason }) => reason)).toEqual([
      "submitted",
      "agent_restarted",
      "agent_restarted",
    ]);
  });

  it("keeps what it lists, and gets what was not started, without a count", async () => {
    const cluster = await atWork();
    await cluster.submit({ id: "unstarted" });
    await cluster.submit({ id: "listed" });
    good(cluster.start("listed", "a", 1));
    await cluster.register("a", { ...SECOND, running_tasks: [{ task_id: "listed", attempt: 1 }] });
    expect(cluster.task("listed")).toMatchObject({ status: "running", attempt: 1, reassignment_count: 0 });
    expect(cluster.task("unstarted")).toMatchObject({
      status: "assigned",
      attempt: 2,
      reassignment_count: 0,
    });
    expect(cluster.task("t")).toMatchObject({ attempt: 2, reassignment_count: 1 });
  });

  it("that crashes each time ends the task after max_reassignment_attempts, with each death on record", async () => {
    const cluster = await atWork({ failover_config: { max_reassignment_attempts: 3 } });
    for (let death = 1; death <= 4; death++) {
      await cluster.register("a", { instance: `host/${death}/again` });
      if (death < 4) good(cluster.start("t", "a", death + 1));
    }
    expect(cluster.task("t")).toMatchObject({ status: "failed", attempt: 4, reassignment_count: 3 });
    expect(typesOf(cluster).sort()).toEqual([
      ...Array.from({ length: 4 }, () => "agent_restarted"),
      "max_reassignments_exceeded",
    ]);
    expect(cluster.agent("a").reliability).toBeLessThan(0.5);
  });

  it("is only recorded while failover is off", async () => {
    const cluster = await atWork({ failover_config: { enabled: false } });
    await cluster.register("a", SECOND);
    expect(typesOf(cluster)).toEqual(["agent_restarted"]);
    expect(cluster.task("t")).toMatchObject({ status: "assigned", attempt: 2, reassignment_count: 0 });
  });
});

describe("no crash is", () => {
  it("a registration of the same process, or with the token of the live incarnation", async () => {
    const cluster = await atWork();
    await cluster.register("a", FIRST);
    expect(cluster.task("t")).toMatchObject({ attempt: 2, reassignment_count: 0 });
    expect(cluster.failures()).toEqual([]);
  });

  it("a registration after the agent has unregistered, although the coordinator does not know it yet", async () => {
    const cluster = await atWork();
    const group = cluster.cluster.group("default");
    cluster.silence("a");
    void group.serve((service) => service.unregister("a", agentPrincipal("a", cluster.incarnationOf("a"))));
    await cluster.register("a", SECOND);
    await cluster.pass(5000);
    expect(cluster.failures()).toEqual([]);
  });

  it("a registration after a reported failure, which stays the only record", async () => {
    const cluster = await atWork();
    cluster.silence("a");
    void cluster.cluster
      .group("default")
      .serve((service) => service.reportFailure("a", { failure_type: "process_exited" }));
    await cluster.register("a", SECOND);
    await cluster.pass(5000);
    expect(failuresOfAgent(cluster)).toEqual(["process_exited"]);
  });

  it("recorded twice when the group declares the replaced incarnation failed at the same time", async () => {
    const cluster = await atWork();
    const incarnation = cluster.incarnationOf("a");
    await cluster.register("a", SECOND);
    cluster.deliverToCoordinator({
      type: "agent_ended",
      agentId: "a",
      incarnation,
      group: "default",
      ending: "failed",
      failureId: "f".repeat(32),
      failureType: "heartbeat_timeout",
      message: "no sign of life",
      details: {},
      lastSignMs: cluster.world.nowMs,
      declaredAtMs: cluster.world.nowMs,
      locksReleased: [],
    });
    expect(typesOf(cluster)).toEqual(["agent_restarted"]);
    expect(cluster.agent("a")).toMatchObject({ status: "active", failure_count: 1 });
  });
});

describe("two processes with one id", () => {
  it("are recorded once, as a duplicate, when the replaced one is heard of again", async () => {
    const cluster = await atWork();
    const replaced = cluster.incarnationOf("a");
    await cluster.register("a", SECOND);
    const answer = bad(heartbeat(cluster, replaced));
    expect(answer.evidence).toEqual({ reason: "superseded", superseded_by: SECOND.instance });
    await cluster.pass(200);
    const [failure, ...others] = cluster.failures();
    expect(others).toEqual([]);
    expect(failure).toMatchObject({
      failure_type: "duplicate_agent_id",
      severity: "error",
      details: { replaced_instance: FIRST.instance, instance: SECOND.instance },
    });
    expect(failure?.message).toContain(FIRST.instance);
    expect(failure?.message).toContain(SECOND.instance);
  });

  it("leave the id to the later one, until a minute passes without another attempt", async () => {
    const cluster = await atWork();
    const replaced = cluster.incarnationOf("a");
    await cluster.register("a", SECOND);
    heartbeat(cluster, replaced);
    for (let tries = 0; tries < 3; tries++) {
      const problem = await refused(cluster, `host/1/again-${tries}`);
      expect(problem).toMatchObject({ code: "agent_live", evidence: { instance: SECOND.instance } });
      await cluster.pass(50_000);
    }
    expect(typesOf(cluster)).toEqual(["duplicate_agent_id"]);
    // A minute after the last attempt, a process that takes the id is the successor of a crash again.
    await cluster.pass(11_000);
    await cluster.register("a", THIRD);
    expect(typesOf(cluster)).toEqual(["agent_restarted", "duplicate_agent_id"]);
  });

  it("do not keep the holder from registering again", async () => {
    const cluster = await atWork();
    const replaced = cluster.incarnationOf("a");
    await cluster.register("a", SECOND);
    heartbeat(cluster, replaced);
    await cluster.pass(200);
    await cluster.register("a", SECOND);
    expect(typesOf(cluster)).toEqual(["duplicate_agent_id"]);
  });

  it("are recorded although the later one registered twice, since the first answer was lost", async () => {
    const cluster = await atWork();
    const replaced = cluster.incarnationOf("a");
    await cluster.register("a", SECOND);
    await cluster.register("a", SECOND);
    heartbeat(cluster, replaced);
    await cluster.pass(200);
    expect(typesOf(cluster)).toEqual(["duplicate_agent_id"]);
  });

  it("are not two if a call of the replaced one was waiting for a lock and asks again", async () => {
    const cluster = await atWork();
    const replaced = agentPrincipal("a", cluster.incarnationOf("a"));
    await cluster.register("b");
    const group = cluster.cluster.group("default");
    const holder = agentPrincipal("b", cluster.incarnationOf("b"));
    granted(group.serve((service) => service.locks.acquire("db", { agent_id: "b" }, holder)));
    const call = { agent_id: "a", wait_seconds: 20 };
    const queued = good(group.serve((service) => service.locks.acquire("db", call, replaced)));
    const position = queued.lock === null ? queued.position : 0;
    await cluster.register("a", SECOND);
    const again = group.serve((service) => service.locks.acquire("db", { ...call, position }, replaced));
    expect(bad(again)).toMatchObject({ code: "session_expired", evidence: { reason: "superseded" } });
    await cluster.pass(200);
    expect(typesOf(cluster)).toEqual(["agent_restarted"]);
  });

  it("are noticed by the next registration even if the coordinator has not been told", async () => {
    const cluster = await atWork();
    const replaced = cluster.incarnationOf("a");
    await cluster.register("a", SECOND);
    heartbeat(cluster, replaced);
    expect(await refused(cluster, "host/1/again")).toMatchObject({ code: "agent_live" });
    await cluster.pass(500);
    expect(typesOf(cluster)).toEqual(["duplicate_agent_id"]);
  });

  it("are no duplicate if the earlier one had been declared failed before", async () => {
    const cluster = await atWork();
    const frozen = cluster.incarnationOf("a");
    cluster.silence("a");
    await cluster.pass(5000);
    await cluster.register("a", SECOND);
    expect(bad(heartbeat(cluster, frozen)).evidence).toMatchObject({ reason: "superseded" });
    await cluster.pass(500);
    expect(failuresOfAgent(cluster)).toEqual(["heartbeat_timeout"]);
  });

  it("free the id once the holder is declared failed", async () => {
    const cluster = await atWork();
    const replaced = cluster.incarnationOf("a");
    await cluster.register("a", SECOND);
    heartbeat(cluster, replaced);
    await cluster.pass(200);
    cluster.silence("a");
    await cluster.pass(5000);
    await cluster.register("a", THIRD);
    expect(cluster.agent("a").status).toBe("active");
  });
});

describe("a call of an ended incarnation is told why it ended", () => {
  it.each([
    { reason: "failed", end: (cluster: ScriptedCluster) => cluster.silence("a") },
    {
      reason: "unregistered",
      end: (cluster: ScriptedCluster) => {
        cluster.silence("a");
        void cluster.cluster.group("default").serve((service) => service.unregister("a", ADMIN));
      },
    },
  ])("$reason, also after the group was evicted", async ({ reason, end }) => {
    const cluster = await atWork();
    end(cluster);
    await cluster.pass(5000);
    expect(bad(heartbeat(cluster, cluster.incarnationOf("a"))).evidence).toEqual({ reason });
    cluster.cluster.group("default").evict();
    expect(bad(heartbeat(cluster, cluster.incarnationOf("a"))).evidence).toEqual({ reason });
  });
});
