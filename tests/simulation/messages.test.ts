/** Messages between objects, and calls from agents, are late, repeated, reordered or lost. */
import { describe, it } from "vitest";
import { STORMY } from "../support/simulation/world.ts";
import { Fleet, holdsForEverySeed } from "./scenario.ts";

describe("when messages are repeated, reordered and lost", () => {
  it("each takes effect once, and every task is finished", async () => {
    await holdsForEverySeed(async (seed) => {
      const fleet = new Fleet(seed);
      const { random } = fleet.world;
      fleet.world.network = STORMY;
      fleet.startAgents(4);
      fleet.submitOver(20, 8000);
      const [victim, sleeper] = fleet.agents;
      fleet.world.after(random.between(1000, 8000), () => victim?.kill());
      fleet.world.after(random.between(1000, 8000), () => sleeper?.freeze(6000));
      await fleet.world.run(20_000);
      return fleet.concludeAndAudit(20);
    });
  });

  it("each takes effect once, also when objects crash", async () => {
    await holdsForEverySeed(async (seed) => {
      const fleet = new Fleet(seed);
      const { random } = fleet.world;
      fleet.world.network = STORMY;
      fleet.cluster.crashesPerCommit = 0.03;
      fleet.startAgents(4);
      fleet.submitOver(16, 8000);
      const [victim] = fleet.agents;
      fleet.world.after(random.between(1000, 8000), () => victim?.kill());
      fleet.world.after(random.between(3000, 9000), () => fleet.cluster.kill());
      fleet.world.after(random.between(9000, 12_000), () => fleet.cluster.start());
      await fleet.world.run(20_000);
      return fleet.concludeAndAudit(16);
    });
  });
});
