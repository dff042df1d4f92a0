/** Shared by all scenarios: a fleet at work, faults, then calm, then the audit. */
import { expect } from "vitest";
import type { ConfigInput } from "../../src/contract/config.ts";
import { Auditor } from "../support/simulation/auditor.ts";
import { type AgentOptions, SimulatedAgent } from "../support/simulation/simulated-agent.ts";
import { SimulatedCluster } from "../support/simulation/simulated-cluster.ts";
import { CALM, World } from "../support/simulation/world.ts";

/**
 * Seeds of a run, few enough for a run on every push; `npm run test:long` sets many. A seed that failed can be run alone
 * with `SIMULATION_SEED`.
 */
const SEED_COUNT = Number(process.env.SIMULATION_SEEDS ?? 30);

export function seeds(): number[] {
  const one = process.env.SIMULATION_SEED;
  return one === undefined ? Array.from({ length: SEED_COUNT }, (_, index) => index + 1) : [Number(one)];
}

/** Long enough for every notification to be sent before a scenario ends. */
const TOLD_SOON: NonNullable<ConfigInput["failure_notification"]> = {
  notification_types: ["log", "webhook"],
  group_wait_seconds: 1,
  group_interval_seconds: 5,
  repeat_interval_seconds: 10,
  max_messages_per_interval: 5,
};

const TASK_TYPES = ["resize", "translate", "index"];

export class Fleet {
  readonly world: World;
  readonly cluster: SimulatedCluster;
  readonly auditor = new Auditor();
  readonly agents: SimulatedAgent[] = [];
  readonly accepted: string[] = [];

  constructor(seed: number, config: ConfigInput = {}) {
    this.world = new World(seed);
    this.cluster = new SimulatedCluster(this.world, {
      config: {
        ...config,
        // Faults may move a task often; running out of reassignments is the subject of another test.
        failover_config: { max_reassignment_attempts: 100, ...config.failover_config },
        failure_notification: TOLD_SOON,
        webhook_notification: {
          url: "http://127.0.0.1:9/",
          retry_schedule_seconds: Array.from({ length: 20 }, () => 1),
        },
      },
      onGroupCommit: (group, database) => this.auditor.watchLocks(group, database, this.world.nowMs),
    });
  }

  /** Agents over two groups, each able to run every task, so that an agent is always available. */
  startAgents(count: number, options: { maxConcurrentTasks?: number; workMs?: () => number } = {}): void {
    for (let index = 0; index < count; index++) {
      this.startProcess({
        id: `agent-${index}`,
        group: index % 2 === 0 ? "north" : "south",
        capabilities: TASK_TYPES,
        workMs: options.workMs ?? (() => this.world.random.between(100, 4000)),
        locks: ["orders"],
        maxConcurrentTasks: options.maxConcurrentTasks ?? 20,
      });
    }
  }

  startProcess(options: AgentOptions): SimulatedAgent {
    const agent = new SimulatedAgent(this.cluster, options);
    this.agents.push(agent);
    void agent.live();
    return agent;
  }

  /** Starts another process with the id of an agent. */
  startAgain(agent: SimulatedAgent): SimulatedAgent {
    const process = this.agents.filter(({ id }) => id === agent.id).length + 1;
    return this.startProcess({ ...agent.options, process });
  }

  /** Submits until the submission is acknowledged, as a careful producer does. */
  async submit(id: string, priority: number): Promise<void> {
    for (;;) {
      try {
        const outcome = await this.world.call(() =>
          this.cluster.coordinator.serve((service) =>
            service.submit({ id, type: TASK_TYPES[priority % TASK_TYPES.length] ?? "index", priority }),
          ),
        );
        if (outcome.ok) this.accepted.push(id);
        return;
      } catch {
        await this.world.sleep(300);
      }
    }
  }

  submitOver(count: number, durationMs: number): void {
    for (let index = 0; index < count; index++) {
      this.world.after(this.world.random.between(0, durationMs), () => {
        void this.submit(`task-${index}`, Math.floor(this.world.random.between(0, 11)));
      });
    }
  }

  /** Ends the faults, waits for every task to end, and audits. */
  async concludeAndAudit(taskCount: number, limitMs = 120_000): Promise<string[]> {
    this.world.network = CALM;
    this.cluster.crashesPerCommit = 0;
    await this.world.runUntil(() => this.accepted.length === taskCount && this.#isIdle(), limitMs, 500);
    // Failures that have not been noticed yet are, and messages in back-off arrive.
    await this.world.run(40_000);
    if (this.accepted.length !== taskCount) {
      this.auditor.findings.push(`${taskCount - this.accepted.length} submissions were never acknowledged`);
    }
    this.auditor.checkTasks(this.cluster, this.accepted, this.agents);
    this.auditor.checkFailures(this.cluster, this.agents);
    this.auditor.checkGrants(this.agents);
    return this.auditor.findings;
  }

  #isIdle(): boolean {
    const { database } = this.cluster.coordinator;
    const [row] = database
      .prepare("SELECT count(*) AS count FROM tasks WHERE status NOT IN ('completed', 'failed', 'cancelled')")
      .all() as { count: number }[];
    return row?.count === 0;
  }
}

/** Runs a scenario over all seeds and shows the first that breaks a guarantee. */
export async function holdsForEverySeed(scenario: (seed: number) => Promise<string[]>): Promise<void> {
  for (const seed of seeds()) {
    const findings = await scenario(seed);
    expect(findings, `SIMULATION_SEED=${seed}`).toEqual([]);
  }
}
