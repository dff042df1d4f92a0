/** The agents of a cluster in memory, as a placement sees them. */
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { withCompletion } from "../../../../../src/domain/task-type-performance.ts";
import { AgentRegistry } from "../../../../../src/services/coordinator/agents/agent-registry.ts";
import { COORDINATOR_MIGRATIONS } from "../../../../../src/storage/coordinator/schema.ts";
import { migrate } from "../../../../../src/storage/migrations.ts";
import { agentRecord } from "../../../../support/records.ts";
import { NodeSql } from "../../../../support/simulation/node-sql.ts";

function newRegistry(): AgentRegistry {
  const sql = new NodeSql(new DatabaseSync(":memory:"));
  migrate(sql, COORDINATOR_MIGRATIONS);
  return new AgentRegistry(sql);
}

describe("a candidate", () => {
  it("is a view without a clock: it has the history, and the decision has the time", () => {
    const registry = newRegistry();
    const agent = agentRecord({ reliabilityHistory: { goodWeight: 3, badWeight: 1, atMs: 0 } });
    registry.save(agent);
    const [candidate] = registry.candidates();
    expect(candidate).toBe(registry.candidate("a"));
    expect(candidate?.reliabilityHistory).toBe(agent.reliabilityHistory);
  });

  it("counts the tasks that were assigned since it was read", () => {
    const registry = newRegistry();
    registry.save(agentRecord());
    const candidate = registry.candidate("a");
    registry.countOpenTask("a", 1);
    expect(candidate?.openTasks).toBe(1);
  });

  it("is silent until that instant in this incarnation alone, also after a reload", () => {
    const registry = newRegistry();
    registry.save(agentRecord({ incarnation: 1 }));
    registry.markSilent("a", 2, 500);
    expect(registry.candidate("a")?.silentUntilMs).toBeNull();
    registry.markSilent("a", 1, 500);
    registry.load(new Map([["a", 3]]));
    expect(registry.candidate("a")).toMatchObject({ silentUntilMs: 500, openTasks: 3 });
    registry.save(agentRecord({ incarnation: 2 }));
    expect(registry.candidate("a")?.silentUntilMs).toBeNull();
  });
});

describe("the typical time of a task type", () => {
  it.each(["constructor", "toString", "__proto__", "hasOwnProperty"])(
    "is not known before a task of %s is completed",
    (type) => {
      const registry = newRegistry();
      registry.save(agentRecord());
      expect(registry.typicalMs(type)).toBeNull();

      const performance = withCompletion({}, { type, tookMs: 700 }, 0);
      registry.save(agentRecord({ performance }));
      registry.load(new Map());
      expect(registry.typicalMs(type)).toBe(700);
    },
  );
});
