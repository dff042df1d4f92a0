/** A simulated cluster that a test drives step by step, with exact times. */
import type { Agent, DrainRequest, Registration } from "../../../src/contract/agent.ts";
import type { ConfigInput } from "../../../src/contract/config.ts";
import type { Failure } from "../../../src/contract/failure.ts";
import type { Lock } from "../../../src/contract/lock.ts";
import type { Decision } from "../../../src/contract/placement/decision.ts";
import type { Outcome, Problem } from "../../../src/contract/problem.ts";
import type { Task, TaskFilter, TaskSubmission } from "../../../src/contract/task.ts";
import { ADMIN } from "../../../src/domain/principal.ts";
import type { ToCoordinator } from "../../../src/protocol/messages.ts";
import type { LockAnswer } from "../../../src/services/agent-group/locks/lock-service.ts";
import { agentPrincipal } from "../principals.ts";
import { SimulatedCluster } from "./simulated-cluster.ts";
import type { SimulatedSocket } from "./simulated-sockets.ts";
import { World } from "./world.ts";

/** Enough for messages between objects to arrive on a calm network. */
const MESSAGE_MS = 50;

export class ScriptedCluster {
  readonly world = new World(1);
  readonly cluster: SimulatedCluster;
  readonly #incarnations = new Map<string, number>();
  readonly #heartbeats = new Map<string, () => void>();
  #delivered = 0;

  constructor(config: ConfigInput = {}) {
    this.cluster = new SimulatedCluster(this.world, { config });
  }

  /** Registers an agent with an interval of 1 s and a timeout of 3 s that sends heartbeats until it is silenced. */
  async register(id: string, overrides: Partial<Registration> = {}, group = "default"): Promise<void> {
    const answer = this.cluster.coordinator.serve((service) =>
      service.register(
        { group, agentId: id },
        {
          type: "worker",
          capabilities: ["resize"],
          max_concurrent_tasks: 10,
          heartbeat_interval_seconds: 1,
          heartbeat_timeout_seconds: 3,
          labels: {},
          running_tasks: [],
          // One process registers the agent each time, unless a test says otherwise.
          instance: id,
          ...overrides,
        },
        ADMIN,
      ),
    );
    await this.pass(MESSAGE_MS);
    // The group is asked first about a live incarnation that the registration would end.
    let isAnswered = false;
    void answer.finally(() => {
      isAnswered = true;
    });
    for (let tries = 0; tries < 4 && !isAnswered; tries++) await this.pass(MESSAGE_MS);
    const { agent } = good(await answer);
    this.#incarnations.set(id, agent.incarnation);
    this.#startHeartbeats(id, group, agent.incarnation);
  }

  /** Opens a socket of an agent. */
  connect(id: string, group = "default"): SimulatedSocket {
    return good(this.cluster.connect(group, id, this.incarnationOf(id)));
  }

  incarnationOf(id: string): number {
    return this.#incarnations.get(id) ?? 0;
  }

  silence(id: string): void {
    this.#heartbeats.get(id)?.();
  }

  async pass(durationMs: number): Promise<void> {
    await this.world.run(durationMs);
  }

  async submit(submission: Partial<TaskSubmission> & { id: string }): Promise<Task> {
    const { task } = good(
      this.cluster.coordinator.serve((service) =>
        service.submit({ type: "resize", priority: 5, ...submission }),
      ),
    );
    return task;
  }

  start(taskId: string, agentId: string, attempt: number): Outcome<Task> {
    return this.cluster.coordinator.serve((service) =>
      service.start(taskId, { agent_id: agentId, attempt }, this.#principalOf(agentId)),
    );
  }

  progress(taskId: string, agentId: string, attempt: number, progress: number): Outcome<Task> {
    return this.cluster.coordinator.serve((service) =>
      service.progress(taskId, { agent_id: agentId, attempt, progress }, this.#principalOf(agentId)),
    );
  }

  complete(taskId: string, agentId: string, attempt: number, result: string): Outcome<Task> {
    return this.cluster.coordinator.serve((service) =>
      service.complete(taskId, { agent_id: agentId, attempt, result }, this.#principalOf(agentId)),
    );
  }

  fail(taskId: string, agentId: string, attempt: number, retryable = true): Outcome<Task> {
    return this.cluster.coordinator.serve((service) =>
      service.fail(
        taskId,
        { agent_id: agentId, attempt, error: { message: "it broke", retryable } },
        this.#principalOf(agentId),
      ),
    );
  }

  /** By an operator unless the agent itself asks for it. */
  drain(id: string, request: Partial<DrainRequest> = {}, isItself = false): Outcome<Agent> {
    return this.cluster.coordinator.serve((service) =>
      service.drain(id, { mode: "finish", ...request }, isItself ? this.#principalOf(id) : ADMIN),
    );
  }

  resume(id: string, isItself = false): Outcome<Agent> {
    return this.cluster.coordinator.serve((service) =>
      service.resume(id, isItself ? this.#principalOf(id) : ADMIN),
    );
  }

  /** Delivers a message to the coordinator as if a group had sent it. */
  deliverToCoordinator(message: ToCoordinator): void {
    this.#delivered += 1;
    const messages = [{ number: this.#delivered, message }];
    this.cluster.coordinator.serve((service) => service.receive({ stream: "script", messages }));
  }

  agent(id: string): Agent {
    return good(this.cluster.coordinator.serve((service) => service.queries.agent(id)));
  }

  task(id: string): Task {
    return good(this.cluster.coordinator.serve((service) => service.queries.task(id)));
  }

  /** Newest first. */
  tasks(filter: TaskFilter): Task[] {
    return this.cluster.coordinator.serve((service) => service.queries.tasks(filter, 500, null)).items;
  }

  decisions(id: string): Decision[] {
    return good(this.cluster.coordinator.serve((service) => service.queries.decisions(id, 100, null))).items;
  }

  failures(): Failure[] {
    return this.cluster.coordinator.serve((service) => service.queries.failures({}, 100, null)).items;
  }

  eventTypes(): string[] {
    return this.cluster.coordinator
      .serve((service) => service.queries.events(0, 1000))
      .map(({ type }) => type);
  }

  #principalOf(agentId: string) {
    return agentPrincipal(agentId, this.incarnationOf(agentId));
  }

  #startHeartbeats(id: string, group: string, incarnation: number): void {
    this.silence(id);
    let isSilent = false;
    this.#heartbeats.set(id, () => {
      isSilent = true;
    });
    const beat = () => {
      if (isSilent) return;
      if (this.cluster.isUp) {
        this.cluster
          .group(group)
          .serve((service) => service.heartbeat(id, {}, agentPrincipal(id, incarnation)));
      }
      this.world.after(1000, beat);
    };
    beat();
  }
}

/** The value of an outcome that must be a success. */
export function good<Value>(outcome: Outcome<Value>): Value {
  if (!outcome.ok) throw new Error(`refused: ${outcome.problem.code}: ${outcome.problem.detail}`);
  return outcome.value;
}

/** The lock of an acquisition that must be granted at once. */
export function granted(outcome: Outcome<LockAnswer>): Lock {
  const { lock } = good(outcome);
  if (lock === null) throw new Error("queued, not granted");
  return lock;
}

/** The problem of an outcome that must be a refusal. */
export function bad(outcome: Outcome<unknown>): Problem {
  if (outcome.ok) throw new Error(`not refused: ${JSON.stringify(outcome.value)}`);
  return outcome.problem;
}

/** Agent `a` runs `running` and has not started `waiting`; agent `b` is free. */
export async function clusterAtWork(config: ConfigInput = {}): Promise<ScriptedCluster> {
  const cluster = new ScriptedCluster(config);
  await cluster.register("a");
  await cluster.submit({ id: "running" });
  await cluster.submit({ id: "waiting" });
  good(cluster.start("running", "a", 1));
  await cluster.register("b");
  return cluster;
}
