/**
 * The agents of a cluster in memory, written through to storage, with how many tasks each holds. A candidate is a live
 * view: a task that was assigned earlier in the same round already counts.
 */
import type { AgentStatus, Load } from "../../../contract/agent.ts";
import { type AgentRecord, isLive } from "../../../domain/agent.ts";
import { earliest } from "../../../domain/deadlines.ts";
import type { ReliabilityHistory } from "../../../domain/reliability.ts";
import {
  type PerformanceByType,
  performanceOf,
  type TypePerformance,
  typicalMs,
} from "../../../domain/task-type-performance.ts";
import { AgentStore } from "../../../storage/coordinator/agents.ts";
import type { Sql } from "../../../storage/sql.ts";
import type { Candidate } from "../../../strategies/strategy.ts";

class Entry implements Candidate {
  agent: AgentRecord;
  openTasks: number;
  /** Only in memory: after a restart the group reports silent agents again. */
  silentUntilMs: number | null = null;

  constructor(agent: AgentRecord, openTasks: number) {
    this.agent = agent;
    this.openTasks = openTasks;
  }

  get id(): string {
    return this.agent.id;
  }
  get group(): string {
    return this.agent.group;
  }
  get status(): AgentStatus {
    return this.agent.status;
  }
  get capabilities(): readonly string[] {
    return this.agent.capabilities;
  }
  get labels(): Readonly<Record<string, string>> {
    return this.agent.labels;
  }
  get maxConcurrentTasks(): number {
    return this.agent.maxConcurrentTasks;
  }
  get cooldownUntilMs(): number | null {
    return this.agent.cooldownUntilMs;
  }
  get load(): Load | null {
    return this.agent.load;
  }
  get performance(): PerformanceByType {
    return this.agent.performance;
  }
  get reliabilityHistory(): ReliabilityHistory {
    return this.agent.reliabilityHistory;
  }
}

export class AgentRegistry {
  readonly #store: AgentStore;
  #entries = new Map<string, Entry>();
  #groups = new Set<string>();
  /** The deadlines of the drains of live agents, until they are handled. */
  #drainDeadlines = new Map<string, number>();

  constructor(sql: Sql) {
    this.#store = new AgentStore(sql);
  }

  /** @param openTasks how many tasks each agent holds */
  load(openTasks: ReadonlyMap<string, number>): void {
    const before = this.#entries;
    this.#entries = new Map();
    this.#drainDeadlines = new Map();
    for (const agent of this.#store.all()) {
      const entry = new Entry(agent, openTasks.get(agent.id) ?? 0);
      const known = before.get(agent.id);
      // What is in memory only survives a reload.
      if (known?.agent.incarnation === agent.incarnation) entry.silentUntilMs = known.silentUntilMs;
      this.#entries.set(agent.id, entry);
      this.#indexDrain(agent);
    }
    this.#groups = new Set(this.#store.groups());
  }

  find(agentId: string): AgentRecord | undefined {
    return this.#entries.get(agentId)?.agent;
  }

  openTasksOf(agentId: string): number {
    return this.#entries.get(agentId)?.openTasks ?? 0;
  }

  hasFreeSlot(agentId: string): boolean {
    const entry = this.#entries.get(agentId);
    return entry !== undefined && entry.status === "active" && entry.openTasks < entry.maxConcurrentTasks;
  }

  /** Every agent by id, except those that are leaving. */
  all(): AgentRecord[] {
    return [...this.#entries.values()]
      .map((entry) => entry.agent)
      .filter((agent) => !agent.isLeaving)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  get size(): number {
    return this.#entries.size;
  }

  liveCountIn(group: string): number {
    let count = 0;
    for (const { agent } of this.#entries.values()) {
      if (agent.group === group && isLive(agent.status)) count += 1;
    }
    return count;
  }

  groups(): string[] {
    return [...this.#groups].sort();
  }

  candidate(agentId: string): Candidate | undefined {
    return this.#entries.get(agentId);
  }

  /** The agent as it would be without tasks and without a drain: shows what it can do at all. */
  unburdened(agentId: string): Candidate | undefined {
    const agent = this.find(agentId);
    return agent && new Entry({ ...agent, status: "active" }, 0);
  }

  candidates(): Iterable<Candidate> {
    return this.#entries.values();
  }

  /** How long tasks of this type take on average in this cluster; null if none was completed yet. */
  typicalMs(type: string): number | null {
    const performances: (TypePerformance | undefined)[] = [];
    for (const { agent } of this.#entries.values()) performances.push(performanceOf(agent.performance, type));
    return typicalMs(performances);
  }

  /** The agent is silent, and is declared failed by that instant if nothing arrives; until then others are preferred. */
  markSilent(agentId: string, incarnation: number, untilMs: number): void {
    const entry = this.#entries.get(agentId);
    if (entry?.agent.incarnation === incarnation) entry.silentUntilMs = untilMs;
  }

  save(agent: AgentRecord): void {
    this.#store.save(agent);
    const entry = this.#entries.get(agent.id);
    if (entry === undefined) this.#entries.set(agent.id, new Entry(agent, 0));
    else {
      if (agent.incarnation !== entry.agent.incarnation) entry.silentUntilMs = null;
      entry.agent = agent;
    }
    this.#indexDrain(agent);
  }

  remove(agentId: string): void {
    this.#store.remove(agentId);
    this.#entries.delete(agentId);
    this.#drainDeadlines.delete(agentId);
  }

  /** @returns whether the group is new */
  addGroup(group: string): boolean {
    if (this.#groups.has(group)) return false;
    this.#store.addGroup(group);
    this.#groups.add(group);
    return true;
  }

  earliestDrainDeadlineMs(): number | null {
    return earliest(...this.#drainDeadlines.values());
  }

  drainingWithDeadline(): AgentRecord[] {
    return [...this.#drainDeadlines.keys()].flatMap((id) => this.find(id) ?? []);
  }

  countOpenTask(agentId: string, change: 1 | -1): void {
    const entry = this.#entries.get(agentId);
    if (entry !== undefined) entry.openTasks += change;
  }

  #indexDrain({ id, status, drain }: AgentRecord): void {
    const deadlineMs = isLive(status) && drain?.isOver === false ? drain.deadlineMs : null;
    if (deadlineMs === null) this.#drainDeadlines.delete(id);
    else this.#drainDeadlines.set(id, deadlineMs);
  }
}
