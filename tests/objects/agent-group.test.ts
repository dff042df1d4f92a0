/** The agent group as a Durable Object: liveness and locks across evictions, and the cost of a heartbeat. */
import { evictDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ADMIN } from "../../src/domain/principal.ts";
import { agentPrincipal } from "../support/principals.ts";
import { codeOf, good, granted, inside, newCluster, registration, runAlarmIfDue } from "./objects.ts";

const SECOND_MS = 1000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const passSeconds = (seconds: number) => vi.setSystemTime(Date.now() + seconds * SECOND_MS);

describe("an agent group", () => {
  it("remembers its agents and their locks across an eviction", async () => {
    const { coordinator, group } = newCluster();
    const north = group("north");
    const { agent } = good(
      await coordinator.register({ group: "north", agentId: "a" }, registration(), ADMIN),
    );
    const { fencing_token } = granted(
      await north.acquireLock("orders", { agent_id: "a" }, agentPrincipal("a", agent.incarnation)),
    );
    good(await north.heartbeat("a", {}, agentPrincipal("a", agent.incarnation)));

    await evictDurableObject(north);

    good(await north.heartbeat("a", {}, agentPrincipal("a", agent.incarnation)));
    const lock = good(await north.lock("orders"));
    expect(lock).toMatchObject({ holder: "a", fencing_token });
    good(await north.releaseLock("orders", fencing_token, ADMIN));

    await evictDurableObject(north);

    expect(good(await north.releaseLock("orders", fencing_token, ADMIN)).holder).toBeNull();
    const again = granted(
      await north.acquireLock("orders", { agent_id: "a" }, agentPrincipal("a", agent.incarnation)),
    );
    expect(again.fencing_token).toBeGreaterThan(fencing_token);
  });

  it("fails an agent that beats every 10 s within its timeout + 2 s, never before, although it is evicted between heartbeats", async () => {
    const { coordinator, group } = newCluster();
    const north = group("north");
    const { agent } = good(
      await coordinator.register({ group: "north", agentId: "a" }, registration(), ADMIN),
    );
    for (let beat = 0; beat < 5; beat++) {
      passSeconds(10);
      good(await north.heartbeat("a", {}, agentPrincipal("a", agent.incarnation)));
      await evictDurableObject(north);
      await runAlarmIfDue(north);
    }
    const lastBeatMs = Date.now();
    let diedAtMs: number | null = null;
    while (diedAtMs === null && Date.now() < lastBeatMs + 60 * SECOND_MS) {
      passSeconds(0.05);
      if (!(await runAlarmIfDue(north))) continue;
      const [liveness] = await north.liveness(["a"]);
      if (liveness === undefined) diedAtMs = Date.now();
      // Between the first check and the second no test evicts: they are 30 ms apart.
      else if (Date.now() - lastBeatMs < 29 * SECOND_MS) await evictDurableObject(north);
    }
    const silentMs = (diedAtMs ?? Number.POSITIVE_INFINITY) - lastBeatMs;
    expect(silentMs).toBeGreaterThanOrEqual(30 * SECOND_MS);
    expect(silentMs).toBeLessThanOrEqual(32 * SECOND_MS);
    expect(codeOf(await north.heartbeat("a", {}, agentPrincipal("a", agent.incarnation)))).toBe(
      "session_expired",
    );
  });

  it("gives every agent its whole timeout again after a late alarm, at most twice", async () => {
    const { coordinator, group } = newCluster();
    const north = group("north");
    const { agent } = good(
      await coordinator.register({ group: "north", agentId: "a" }, registration(), ADMIN),
    );
    for (let pause = 0; pause < 2; pause++) {
      passSeconds(40);
      expect(await runAlarmIfDue(north)).toBe(true);
      const [liveness] = await north.liveness(["a"]);
      expect(Date.parse(liveness?.deadline_at ?? "")).toBe(Date.now() + 30 * SECOND_MS);
      await evictDurableObject(north);
    }
    // A clock that is always late does not hide a failure.
    passSeconds(40);
    await runAlarmIfDue(north);
    passSeconds(0.05);
    await runAlarmIfDue(north);
    passSeconds(0.05);
    await runAlarmIfDue(north);
    expect(codeOf(await north.heartbeat("a", {}, agentPrincipal("a", agent.incarnation)))).toBe(
      "session_expired",
    );
  });

  it("gives every agent its whole timeout again when it starts under another boot id", async () => {
    const { coordinator, group } = newCluster();
    const north = group("north");
    const { agent } = good(
      await coordinator.register({ group: "north", agentId: "a" }, registration(), ADMIN),
    );
    await inside(north, (_, { storage }) => {
      storage.sql.exec("UPDATE meta SET value = ? WHERE name = 'boot_id'", "an earlier one");
    });
    await evictDurableObject(north);
    passSeconds(100);
    await runAlarmIfDue(north);
    const [liveness] = await north.liveness(["a"]);
    expect(Date.parse(liveness?.deadline_at ?? "")).toBe(Date.now() + 30 * SECOND_MS);
    good(await north.heartbeat("a", {}, agentPrincipal("a", agent.incarnation)));
  });

  it("writes at most 0.02 rows per heartbeat for 1,000 agents at 10 s", async () => {
    const { group } = newCluster();
    const north = group("north");
    const agents = Array.from({ length: 1000 }, (_, index) => `agent-${index}`);
    await north.receive({
      stream: "test",
      messages: agents.map((agentId, index) => ({
        number: index + 1,
        message: {
          type: "register_session",
          agentId,
          incarnation: index + 1,
          intervalMs: 10_000,
          timeoutMs: 30_000,
        },
      })),
    });
    const rounds = 12;
    const rows = await inside(north, async (instance, { storage }) => {
      const before = instance.rowsWritten();
      for (let beat = 0; beat < rounds * agents.length; beat++) {
        // Spread evenly over the interval.
        passSeconds(10 / agents.length);
        const dueMs = await storage.getAlarm();
        if (dueMs !== null && dueMs <= Date.now()) {
          await storage.deleteAlarm();
          instance.alarm({ scheduledTime: dueMs, isRetry: false, retryCount: 0 });
        }
        const index = beat % agents.length;
        good(instance.heartbeat(`agent-${index}`, {}, agentPrincipal(`agent-${index}`, index + 1)));
      }
      return instance.rowsWritten() - before;
    });
    const rowsPerHeartbeat = rows / (rounds * agents.length);
    console.log(`rows written a heartbeat, 1,000 agents at 10 s: ${rowsPerHeartbeat.toFixed(4)}`);
    expect(rowsPerHeartbeat).toBeGreaterThan(0);
    expect(rowsPerHeartbeat).toBeLessThanOrEqual(0.02);
    expect(await north.liveness(agents)).toHaveLength(agents.length);

    await evictDurableObject(north);

    expect(await north.liveness(agents)).toHaveLength(agents.length);
    good(await north.heartbeat("agent-0", {}, agentPrincipal("agent-0", 1)));
  });

  it("stores nothing when an unused group is read or refuses a call", async () => {
    const { group } = newCluster();
    const untouched = group("untouched");
    expect(await untouched.locks(10, null)).toEqual({ items: [], next_cursor: null });
    expect(codeOf(await untouched.heartbeat("unknown", {}, agentPrincipal("unknown", 1)))).toBe(
      "session_expired",
    );
    expect(codeOf(await untouched.acquireLock("x", { agent_id: "unknown" }, ADMIN))).toBe("session_expired");
    expect(codeOf(await untouched.releaseLock("x", 1, ADMIN))).toBe("stale_fencing_token");
    const tables = await inside(untouched, (_, { storage }) =>
      storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'").toArray(),
    );
    expect(tables).toEqual([]);
  });

  it("retries an alarm that throws", async () => {
    const { coordinator, group } = newCluster();
    const north = group("north");
    good(await coordinator.register({ group: "north", agentId: "a" }, registration(), ADMIN));
    await inside(north, async (instance, { storage }) => {
      storage.sql.exec("ALTER TABLE locks RENAME TO elsewhere");
      passSeconds(31);
      // A new instance has to read its locks, which fails.
      await storage.deleteAlarm();
      storage.sql.exec("ALTER TABLE signs_of_life RENAME TO elsewhere_too");
      instance.alarm({ scheduledTime: Date.now(), isRetry: false, retryCount: 0 });
      expect(await storage.getAlarm()).toBeGreaterThan(Date.now());
      storage.sql.exec("ALTER TABLE elsewhere RENAME TO locks");
      storage.sql.exec("ALTER TABLE elsewhere_too RENAME TO signs_of_life");
    });
    await evictDurableObject(north);
    expect(await north.liveness(["a"])).toHaveLength(1);
  });
});
