/**
 * A process of a simulated agent: registers, sends heartbeats, reads its list, works and reports, over the simulated
 * network. A test can kill it, or freeze it for a while, which makes it a zombie, or let it leave in good order. A restart
 * is another process with the same id.
 */
import type { RunningTask } from "../../../src/contract/agent.ts";
import type { Lock } from "../../../src/contract/lock.ts";
import type { Outcome } from "../../../src/contract/problem.ts";
import type { Task } from "../../../src/contract/task.ts";
import { ADMIN, type AgentPrincipal } from "../../../src/domain/principal.ts";
import { agentPrincipal } from "../principals.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";

export type AgentOptions = {
  id: string;
  group: string;
  /** Which process of this id it is; 1 by default. */
  process?: number;
  capabilities: string[];
  intervalMs?: number;
  timeoutMs?: number;
  maxConcurrentTasks?: number;
  /** How long it works on a task. */
  workMs: () => number;
  /** Names of locks that it acquires now and then. */
  locks?: string[];
};

/** A result that the coordinator acknowledged. */
export type AcknowledgedResult = { taskId: string; attempt: number; result: unknown };

export class SimulatedAgent {
  readonly id: string;
  readonly group: string;
  readonly instance: string;
  readonly timeoutMs: number;
  /** When the group processed the last sign of life of each incarnation. */
  readonly lastSignMs = new Map<number, number>();
  readonly results: AcknowledgedResult[] = [];
  readonly grants: { resource: string; token: number }[] = [];
  /** The codes of calls that were refused. */
  readonly refusals: string[] = [];
  readonly #cluster: SimulatedCluster;
  readonly options: AgentOptions;
  readonly #intervalMs: number;
  #incarnation = 0;
  #lockUse: Promise<void> | null = null;
  #isAlive = true;
  #end: "killed" | "left" | "superseded" | null = null;
  #frozenUntilMs = 0;
  readonly #working = new Set<string>();
  /** Started, and not reported yet. */
  readonly #running = new Map<string, RunningTask>();

  constructor(cluster: SimulatedCluster, options: AgentOptions) {
    this.#cluster = cluster;
    this.options = options;
    this.id = options.id;
    this.group = options.group;
    this.instance = `host/${options.process ?? 1}/${options.id}`;
    this.#intervalMs = options.intervalMs ?? 1000;
    this.timeoutMs = options.timeoutMs ?? 3000;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** How it ended; null while it lives. */
  get end(): "killed" | "left" | "superseded" | null {
    return this.#end;
  }

  /** Runs until it is killed. */
  async live(): Promise<void> {
    await this.#register();
    while (this.#isAlive) {
      await this.#pause(this.#intervalMs);
      if (!this.#isAlive) return;
      await this.#sendHeartbeat();
      await this.#takeTasks();
      // Heartbeats go on meanwhile: a call that waits for a lock is only at its start a sign of life.
      this.#lockUse ??= this.#useLock().finally(() => {
        this.#lockUse = null;
      });
    }
  }

  kill(): void {
    this.#stop("killed");
  }

  /** Unregisters, and ends once that is acknowledged. */
  async leave(): Promise<void> {
    const incarnation = this.#incarnation;
    await this.#insist(() => {
      const group = this.#cluster.group(this.group);
      // The answer comes later, and it may be lost; then a repeated call is refused, as the incarnation has ended.
      void group.serve((service) => service.unregister(this.id, agentPrincipal(this.id, incarnation)));
      return { ok: true, value: null };
    });
    this.#stop("left");
  }

  #stop(end: "killed" | "left" | "superseded"): void {
    this.#isAlive = false;
    this.#end ??= end;
  }

  freeze(durationMs: number): void {
    this.#frozenUntilMs = this.#cluster.world.nowMs + durationMs;
  }

  /** A pause of its own, longer while it is frozen. */
  async #pause(durationMs: number): Promise<void> {
    const { world } = this.#cluster;
    await world.sleep(durationMs);
    while (this.#isAlive && world.nowMs < this.#frozenUntilMs)
      await world.sleep(this.#frozenUntilMs - world.nowMs);
  }

  async #register(): Promise<void> {
    while (this.#isAlive) {
      const { world } = this.#cluster;
      const sinceMs = Math.floor(world.nowMs);
      // Sometimes the agent lists the tasks that it runs, and sometimes it has lost them.
      const running_tasks = world.random.chance(0.5) ? [...this.#running.values()] : [];
      const registered = await this.#call(() =>
        this.#cluster.coordinator.serve((service) =>
          service.register(
            { group: this.group, agentId: this.id },
            {
              type: "worker",
              capabilities: this.options.capabilities,
              max_concurrent_tasks: this.options.maxConcurrentTasks ?? 10,
              heartbeat_interval_seconds: this.#intervalMs / 1000,
              heartbeat_timeout_seconds: this.timeoutMs / 1000,
              labels: {},
              running_tasks,
              instance: this.instance,
            },
            ADMIN,
          ),
        ),
      );
      if (registered?.ok) {
        this.#incarnation = registered.value.agent.incarnation;
        this.lastSignMs.set(this.#incarnation, sinceMs);
        this.#working.clear();
        return;
      }
      // Another process has the id and is alive.
      if (registered?.problem.code === "agent_live") {
        this.refusals.push("agent_live");
        this.#stop("superseded");
        return;
      }
      await this.#pause(this.#intervalMs);
    }
  }

  async #sendHeartbeat(): Promise<void> {
    const incarnation = this.#incarnation;
    const answer = await this.#call(() =>
      this.#cluster.group(this.group).serve((service) => {
        const outcome = service.heartbeat(this.id, {}, agentPrincipal(this.id, incarnation));
        if (outcome.ok) this.lastSignMs.set(incarnation, Math.floor(this.#cluster.world.nowMs));
        return outcome;
      }),
    );
    if (answer !== null && !answer.ok) {
      this.refusals.push(answer.problem.code);
      const { reason, superseded_by } = answer.problem.evidence ?? {};
      if (reason === "superseded" && superseded_by !== this.instance) this.#stop("superseded");
      else await this.#register();
    }
  }

  async #takeTasks(): Promise<void> {
    const page = await this.#call(() =>
      this.#cluster.coordinator.serve((service) =>
        service.queries.tasksOf(
          this.id,
          { statuses: ["assigned"], limit: 50, cursor: null },
          agentPrincipal(this.id, 1),
        ),
      ),
    );
    for (const task of page?.items ?? []) {
      const key = `${task.id}/${task.attempt}`;
      if (this.#working.has(key)) continue;
      this.#working.add(key);
      void this.#work(task);
    }
  }

  async #work({ id: taskId, attempt }: Task): Promise<void> {
    const { world, coordinator } = this.#cluster;
    const principal = agentPrincipal(this.id, this.#incarnation);
    const holder = { agent_id: this.id, attempt };
    const started = await this.#insist(() =>
      coordinator.serve((service) => service.start(taskId, holder, principal)),
    );
    if (started === null || !started.ok) return;
    const key = `${taskId}/${attempt}`;
    this.#running.set(key, { task_id: taskId, attempt });
    await this.#pause(this.options.workMs());
    const result = `${this.id}/${attempt}/${world.random.id()}`;
    const done = await this.#insist(() =>
      coordinator.serve((service) => service.complete(taskId, { ...holder, result }, principal)),
    );
    this.#running.delete(key);
    if (done?.ok) this.results.push({ taskId, attempt, result });
  }

  async #useLock(): Promise<void> {
    const { locks } = this.options;
    if (locks === undefined || !this.#cluster.world.random.chance(0.5)) return;
    const resource = this.#cluster.world.random.pick(locks);
    const principal = agentPrincipal(this.id, this.#incarnation);
    const group = this.#cluster.group(this.group);
    const { random } = this.#cluster.world;
    // Some TTLs are longer than the timeout of their holder.
    const ttlSeconds = random.pick([2, 20]);
    const lock = random.chance(0.7)
      ? await this.#acquireWaiting(resource, principal, ttlSeconds)
      : await this.#call(() =>
          group.serve((service) =>
            service.locks.acquire(resource, { agent_id: this.id, ttl_seconds: ttlSeconds }, principal),
          ),
        ).then((acquired) => (acquired?.ok ? acquired.value.lock : null));
    if (lock === null) return;
    const token = lock.fencing_token;
    this.grants.push({ resource, token });
    await this.#pause(random.between(0, 1500));
    if (random.chance(0.3)) {
      await this.#call(() => group.serve((service) => service.locks.renew(resource, token, principal)));
      await this.#pause(random.between(0, 3000));
    }
    await this.#call(() => group.serve((service) => service.locks.release(resource, token, principal)));
  }

  /** As a call that waits until it gets the lock; now and then the agent gives up. */
  async #acquireWaiting(
    resource: string,
    principal: AgentPrincipal,
    ttlSeconds: number,
  ): Promise<Lock | null> {
    const { world } = this.#cluster;
    const group = this.#cluster.group(this.group);
    const request = { agent_id: this.id, ttl_seconds: ttlSeconds };
    const untilMs = world.nowMs + 3000;
    let position: number | null = null;
    while (this.#isAlive && world.nowMs < untilMs) {
      const leftMs = untilMs - world.nowMs;
      const asked = await this.#call(() =>
        group.serve((service) =>
          service.locks.acquire(resource, { ...request, wait_seconds: leftMs / 1000, position }, principal),
        ),
      );
      if (asked !== null && !asked.ok) return null;
      if (asked?.value.lock) return asked.value.lock;
      if (asked !== null && asked.value.lock === null) position = asked.value.position;
      if (world.random.chance(0.1)) break;
      await this.#pause(200);
    }
    const left = await this.#call(() =>
      group.serve((service) => service.locks.acquire(resource, { ...request, wait_seconds: 0 }, principal)),
    );
    return left?.ok ? left.value.lock : null;
  }

  /** Repeats a call until it is answered: reports are safe to repeat. */
  async #insist<Value>(serve: () => Outcome<Value>): Promise<Outcome<Value> | null> {
    while (this.#isAlive) {
      const answer = await this.#call(serve);
      if (answer !== null) {
        if (!answer.ok) this.refusals.push(answer.problem.code);
        return answer;
      }
      await this.#pause(200);
    }
    return null;
  }

  /** One call over the network; null if there was no answer, or if the agent is dead. */
  async #call<Result>(serve: () => Result | Promise<Result>): Promise<Result | null> {
    if (!this.#isAlive) return null;
    try {
      return await this.#cluster.world.call(serve);
    } catch {
      return null;
    }
  }
}
