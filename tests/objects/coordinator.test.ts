/** The coordinator as a Durable Object: all its state survives an eviction. */
import { evictAllDurableObjects, evictDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { ADMIN } from "../../src/domain/principal.ts";
import { agentPrincipal } from "../support/principals.ts";
import { codeOf, good, inside, newCluster, registration, submission } from "./objects.ts";

const NO_FILTER = {};

describe("a coordinator", () => {
  it("remembers tasks, attempts and decisions across evictions", async () => {
    const { coordinator } = newCluster();
    const { agent } = good(
      await coordinator.register({ group: "north", agentId: "a" }, registration(), ADMIN),
    );
    const principal = agentPrincipal("a", agent.incarnation);
    const { task } = good(await coordinator.submit(submission({ id: "t", data: { input: 1 } })));
    expect(task).toMatchObject({ status: "assigned", assigned_to: "a", attempt: 1 });

    await evictAllDurableObjects();

    good(await coordinator.start("t", { agent_id: "a", attempt: 1 }, principal));
    expect(codeOf(await coordinator.start("t", { agent_id: "b", attempt: 1 }, ADMIN))).toBe("stale_attempt");

    await evictDurableObject(coordinator);

    good(await coordinator.complete("t", { agent_id: "a", attempt: 1, result: "done" }, principal));

    await evictDurableObject(coordinator);

    expect(good(await coordinator.task("t"))).toMatchObject({ status: "completed", result: "done" });
    expect(
      good(await coordinator.complete("t", { agent_id: "a", attempt: 1, result: "done" }, principal)).status,
    ).toBe("completed");
    const decisions = good(await coordinator.decisions("t", 10, null)).items;
    expect(decisions.map(({ reason, selected }) => [reason, selected])).toEqual([["submitted", "a"]]);
    expect(await coordinator.status()).toMatchObject({
      active_agents: 1,
      tasks: { completed: 1, running: 0 },
    });
  });

  it("remembers configuration changes, and refuses older ones", async () => {
    const { coordinator } = newCluster();
    const { etag } = await coordinator.config();
    const changed = good(
      await coordinator.patchConfig({ failover_config: { max_reassignment_attempts: 7 } }, etag),
    );

    await evictDurableObject(coordinator);

    expect(await coordinator.config()).toMatchObject({ etag: changed.etag });
    expect((await coordinator.config()).config.failover_config.max_reassignment_attempts).toBe(7);
    expect(codeOf(await coordinator.patchConfig({}, etag))).toBe("config_changed");
  });

  it("issues incarnations and attempts that only grow, across evictions and unregistrations", async () => {
    const { coordinator, group } = newCluster();
    const first = good(
      await coordinator.register({ group: "north", agentId: "a" }, registration(), ADMIN),
    ).agent;
    good(await coordinator.submit(submission({ id: "t" })));
    await evictDurableObject(coordinator);
    const second = good(
      await coordinator.register({ group: "north", agentId: "a" }, registration(), ADMIN),
    ).agent;
    expect(second.incarnation).toBeGreaterThan(first.incarnation);
    expect(good(await coordinator.task("t"))).toMatchObject({
      status: "assigned",
      assigned_to: "a",
      attempt: 2,
    });

    good(await group("north").unregister("a", agentPrincipal("a", second.incarnation)));
    expect(good(await coordinator.task("t"))).toMatchObject({ status: "pending", assigned_to: null });
    await evictAllDurableObjects();

    const third = good(
      await coordinator.register({ group: "south", agentId: "a" }, registration(), ADMIN),
    ).agent;
    expect(third.incarnation).toBeGreaterThan(second.incarnation);
    expect(good(await coordinator.task("t"))).toMatchObject({
      status: "assigned",
      assigned_to: "a",
      attempt: 3,
    });
  });

  it("has the same counts before and after an eviction", async () => {
    const { coordinator } = newCluster();
    good(
      await coordinator.register(
        { group: "north", agentId: "a" },
        registration({ max_concurrent_tasks: 3 }),
        ADMIN,
      ),
    );
    await coordinator.submitBatch(Array.from({ length: 5 }, (_, index) => submission({ id: `t${index}` })));
    await coordinator.cancel("t0");
    const before = await coordinator.status();
    const agentBefore = good(await coordinator.agent("a"));

    await evictDurableObject(coordinator);

    expect(await coordinator.status()).toEqual(before);
    expect(good(await coordinator.agent("a")).task_count).toBe(agentBefore.task_count);
    expect(before.tasks).toMatchObject({ assigned: 3, pending: 1, cancelled: 1 });
  });

  it("stores nothing when an unused cluster is read or refuses a call", async () => {
    const { coordinator } = newCluster();
    expect(await coordinator.agents(NO_FILTER, 10, null)).toEqual({ items: [], next_cursor: null });
    expect((await coordinator.status()).total_agents).toBe(0);
    expect(codeOf(await coordinator.task("t"))).toBe("not_found");
    expect(codeOf(await coordinator.start("t", { agent_id: "a", attempt: 1 }, ADMIN))).toBe("not_found");
    expect(codeOf(await coordinator.patchConfig({ nothing: 1 }, null))).toBe("invalid_request");
    const tables = await inside(coordinator, (_, { storage }) =>
      storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'").toArray(),
    );
    expect(tables).toEqual([]);
  });
});
