/** Processes that are started again at once under their id, that leave in good order, or that share an id. */
import { describe, it } from "vitest";
import { CALM } from "../support/simulation/world.ts";
import { Fleet, holdsForEverySeed } from "./scenario.ts";

describe("a process that crashes and is started again at once", () => {
  it("is recorded once for each crash, and its tasks end", async () => {
    await holdsForEverySeed(async (seed) => {
      const fleet = new Fleet(seed);
      const { random } = fleet.world;
      fleet.startAgents(3);
      fleet.submitOver(16, 8000);
      let [crashing] = fleet.agents;
      let crashes = 0;
      for (let crash = 1; crash <= 4; crash++) {
        fleet.world.after(crash * 2500 + random.between(0, 1500), () => {
          if (crashing === undefined || crashing.lastSignMs.size === 0) return;
          crashing.kill();
          crashes += 1;
          crashing = fleet.startAgain(crashing);
        });
      }
      await fleet.world.run(16_000);
      const findings = await fleet.concludeAndAudit(16);
      fleet.auditor.checkOnlyFailed(fleet.cluster, []);
      fleet.auditor.checkEnds(fleet.cluster, "agent-0", { agent_restarted: crashes });
      return findings;
    });
  });

  it("leaves no record if it unregistered before", async () => {
    await holdsForEverySeed(async (seed) => {
      const fleet = new Fleet(seed);
      const { random } = fleet.world;
      fleet.startAgents(3);
      fleet.submitOver(12, 6000);
      for (let time = 1; time <= 3; time++) {
        fleet.world.after(time * 3000 + random.between(0, 500), () => {
          const leaving = fleet.agents.findLast(({ id, isAlive }) => id === "agent-0" && isAlive);
          if (leaving === undefined || leaving.lastSignMs.size === 0) return;
          void leaving.leave().then(() => fleet.startAgain(leaving));
        });
      }
      await fleet.world.run(16_000);
      const findings = await fleet.concludeAndAudit(12);
      fleet.auditor.checkEnds(fleet.cluster, "agent-0", {});
      return findings;
    });
  });
});

describe("two processes with one id", () => {
  it("leave one that works and one record, although a supervisor starts the other again and again", async () => {
    await holdsForEverySeed(async (seed) => {
      const fleet = new Fleet(seed);
      const { random } = fleet.world;
      fleet.world.network = CALM;
      fleet.startAgents(2);
      fleet.submitOver(12, 6000);
      fleet.world.after(random.between(2000, 4000), () => {
        const [first] = fleet.agents;
        if (first !== undefined) fleet.startAgain(first);
      });
      // The supervisor of both processes.
      for (let second = 5; second < 30; second++) {
        fleet.world.after(second * 1000 + random.between(0, 900), () => {
          const ended = fleet.agents.findLast(({ id, end }) => id === "agent-0" && end === "superseded");
          if (ended !== undefined) fleet.startAgain(ended);
        });
      }
      await fleet.world.run(31_000);
      const findings = await fleet.concludeAndAudit(12);
      fleet.auditor.checkEnds(fleet.cluster, "agent-0", { duplicate_agent_id: 1 });
      const alive = fleet.agents.filter(({ id, isAlive }) => id === "agent-0" && isAlive);
      if (alive.length !== 1) findings.push(`${alive.length} processes of agent-0 are alive`);
      return findings;
    });
  });
});
