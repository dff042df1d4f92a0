/** Agents drain and resume, sockets break, and results arrive late, while objects crash. */
import { describe, it } from "vitest";
import { ADMIN } from "../../src/domain/principal.ts";
import type { ToCoordinator } from "../../src/protocol/messages.ts";
import { Fleet, holdsForEverySeed } from "./scenario.ts";

/** Repeats the call until the coordinator has done it: a crash may come before its commit. */
async function insist(fleet: Fleet, act: () => void): Promise<void> {
  for (;;) {
    try {
      return act();
    } catch {
      await fleet.world.sleep(100);
    }
  }
}

/** Drains an agent now and then, for a while. */
async function drainForAWhile(fleet: Fleet, agentId: string): Promise<void> {
  const { random } = fleet.world;
  const { coordinator } = fleet.cluster;
  const mode = random.pick(["move", "finish"] as const);
  const deadline = random.chance(0.5) ? { deadline_seconds: random.between(0, 3) } : {};
  await insist(fleet, () =>
    coordinator.serve((service) => service.drain(agentId, { mode, ...deadline }, ADMIN)),
  );
  await fleet.world.sleep(random.between(500, 6000));
  await insist(fleet, () => coordinator.serve((service) => service.resume(agentId, ADMIN)));
}

/** Makes the coordinator believe for a while that the agent's socket broke. */
async function suspectForAWhile(fleet: Fleet, agentId: string): Promise<void> {
  const { world, cluster } = fleet;
  const stream = world.random.id();
  let number = 0;
  const tell = (message: ToCoordinator) => {
    number += 1;
    const messages = [{ number, message }];
    return insist(fleet, () =>
      cluster.coordinator.serve((service) => service.receive({ stream, messages: messages })),
    );
  };
  const known = cluster.coordinator.serve((service) => service.queries.agent(agentId));
  if (!known.ok) return;
  const { incarnation } = known.value;
  await tell({ type: "agent_suspect", agentId, incarnation, untilMs: world.nowMs + 5000 });
  await world.sleep(world.random.between(100, 4000));
  await tell({ type: "agent_cleared", agentId, incarnation });
}

describe("when agents drain, and are suspect", () => {
  it.each(["keep", "accept_if_unfinished"] as const)(
    "every task is done once, and acknowledged results stay (%s)",
    async (late_result_policy) => {
      await holdsForEverySeed(async (seed) => {
        const fleet = new Fleet(seed, { task_config: { late_result_policy, default_timeout_seconds: 5 } });
        const { random } = fleet.world;
        fleet.cluster.crashesPerCommit = 0.03;
        fleet.startAgents(4, {
          workMs: () => random.between(100, late_result_policy === "keep" ? 4000 : 7000),
        });
        fleet.submitOver(30, 8000);
        for (let index = 0; index < 8; index++) {
          const agentId = `agent-${index % 4}`;
          fleet.world.after(random.between(1000, 12_000), () => {
            const act = random.chance(0.5) ? drainForAWhile : suspectForAWhile;
            act(fleet, agentId).catch(() => {});
          });
        }
        const [victim] = fleet.agents;
        if (random.chance(0.3)) fleet.world.after(random.between(1000, 10_000), () => victim?.kill());
        await fleet.world.run(20_000);
        return fleet.concludeAndAudit(30);
      });
    },
  );
});
