/** The server is killed, or single objects crash at a commit, also in the middle of a failover. */
import { describe, it } from "vitest";
import { Fleet, holdsForEverySeed } from "./scenario.ts";

describe("when the coordinator restarts in the middle of a failover", () => {
  it("every task still moves exactly once", async () => {
    await holdsForEverySeed(async (seed) => {
      const fleet = new Fleet(seed);
      const { random } = fleet.world;
      fleet.startAgents(3, { maxConcurrentTasks: 400, workMs: () => random.between(5000, 9000) });
      // Enough tasks for several batches.
      fleet.submitOver(360, 3000);
      const [victim] = fleet.agents;
      fleet.world.after(6000, () => {
        victim?.kill();
        fleet.cluster.crashesPerCommit = 0.15;
      });
      await fleet.world.run(12_000);
      return fleet.concludeAndAudit(360);
    });
  });

  it("kill -9 of the server fails no live agent and loses nothing that was acknowledged", async () => {
    await holdsForEverySeed(async (seed) => {
      const fleet = new Fleet(seed);
      const { random } = fleet.world;
      fleet.startAgents(4);
      fleet.submitOver(20, 10_000);
      const downAtMs = random.between(2000, 9000);
      fleet.world.after(downAtMs, () => fleet.cluster.kill());
      // Outages of about one timeout decide it: after a slightly shorter one no alarm is late.
      const downMs = random.chance(0.7) ? random.between(1500, 5000) : random.between(100, 12_000);
      fleet.world.after(downAtMs + downMs, () => fleet.cluster.start());
      await fleet.world.run(25_000);
      const findings = await fleet.concludeAndAudit(20);
      fleet.auditor.checkOnlyFailed(fleet.cluster, []);
      return findings;
    });
  });

  it("objects that crash at any commit lose nothing that was acknowledged", async () => {
    await holdsForEverySeed(async (seed) => {
      const fleet = new Fleet(seed);
      const { random } = fleet.world;
      fleet.cluster.crashesPerCommit = 0.05;
      fleet.startAgents(4);
      fleet.submitOver(20, 8000);
      const [victim] = fleet.agents;
      fleet.world.after(random.between(1000, 8000), () => victim?.kill());
      await fleet.world.run(20_000);
      return fleet.concludeAndAudit(20);
    });
  });
});
