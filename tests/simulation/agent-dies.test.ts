/** Agents crash or freeze while the fleet is working. */
import { describe, it } from "vitest";
import { Fleet, holdsForEverySeed } from "./scenario.ts";

describe("when agents crash", () => {
  it("other agents finish their tasks, their locks move on, and each failure is recorded once", async () => {
    await holdsForEverySeed(async (seed) => {
      const fleet = new Fleet(seed);
      const { random } = fleet.world;
      fleet.startAgents(5);
      fleet.submitOver(20, 8000);
      const dying = fleet.agents.slice(0, 2);
      for (const agent of dying) fleet.world.after(random.between(500, 10_000), () => agent.kill());
      await fleet.world.run(15_000);
      const findings = await fleet.concludeAndAudit(20);
      fleet.auditor.checkOnlyFailed(
        fleet.cluster,
        dying.map(({ id }) => id),
      );
      return findings;
    });
  });

  it("an agent that wakes after its tasks have moved changes nothing", async () => {
    await holdsForEverySeed(async (seed) => {
      const fleet = new Fleet(seed);
      const { random } = fleet.world;
      fleet.startAgents(4);
      fleet.submitOver(16, 6000);
      for (const agent of fleet.agents.slice(0, 2)) {
        fleet.world.after(random.between(1000, 6000), () => agent.freeze(random.between(2000, 9000)));
      }
      await fleet.world.run(20_000);
      return fleet.concludeAndAudit(16);
    });
  });
});
