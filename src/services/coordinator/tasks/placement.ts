/**
 * Giving tasks to agents: asks the strategy, puts the decision on record, writes the new
 * attempt, and fills free slots from the line of waiting tasks.
 */
import type { Decision, DecisionReason } from "../../../contract/decision.ts";
import { instant } from "../../../contract/instant.ts";
import type { AgentRecord } from "../../../domain/agent.ts";
import { isHeld, type TaskRecord } from "../../../domain/task.ts";
import { assigned, madePending, resumed } from "../../../domain/task-lifecycle.ts";
import type { AttemptRow } from "../../../storage/coordinator/attempts.ts";
import type { PendingTask, QueuePosition } from "../../../storage/coordinator/tasks.ts";
import { decide } from "../../../strategies/decide.ts";
import { hardExclusion } from "../../../strategies/eligibility.ts";
import { exclusionWords } from "../../../strategies/explanation.ts";
import { priorityLevel } from "../../../strategies/priority-level.ts";
import { strategyFor } from "../../../strategies/registry.ts";
import type { Verdict } from "../../../strategies/strategy.ts";
import type { ClusterContext } from "../cluster-context.ts";

/** Waiting tasks read at a time while a free slot looks for one. */
const LINE_PAGE = 10;

/** Waiting tasks looked at in one event at most; the rest of the line is looked at in the next. */
const LINE_LIMIT = 1000;

export type Placed = { task: TaskRecord; decision: Decision };

export class Placement {
  readonly #context: ClusterContext;
  /** Agents whose free slots are still to be filled, and how far along the lines they have looked. */
  readonly #unfilled = new Map<string, Line[]>();

  constructor(context: ClusterContext) {
    this.#context = context;
  }

  load(): void {
    this.#unfilled.clear();
    // What made a slot free may have been lost with the last instance; looking again costs little.
    if (this.#context.tasks.countOf("pending") === 0) return;
    for (const agent of this.#context.agents.all()) {
      if (this.#context.agents.hasFreeSlot(agent.id)) this.#unfilled.set(agent.id, this.#linesFor(agent));
    }
  }

  get hasWork(): boolean {
    return this.#unfilled.size > 0;
  }

  /**
   * Decides who gets the task, and records it either as assigned or as waiting.
   * @param before the task as it is stored, null for a new one
   * @param task the task as it is to be placed
   */
  place(before: TaskRecord | null, task: TaskRecord, reason: DecisionReason, nowMs: number): Placed {
    const fromAgent = before?.holder ?? null;
    const verdict = this.#decide(task, fromAgent, nowMs);
    const numbered = { ...task, decisionCount: task.decisionCount + 1 };
    if (verdict.selected === null) {
      const waiting = madePending(numbered, exclusionWords(verdict) || "no agent is registered", null);
      this.#context.saveTask(before, waiting);
      this.#context.recordEvent(
        { type: "task.pending", subject: task.id, data: { reason: waiting.pendingReason } },
        nowMs,
      );
      return { task: waiting, decision: this.#record(waiting, verdict, reason, fromAgent, nowMs) };
    }
    const given = this.#give(before, this.#withBackups(numbered, verdict), verdict.selected, nowMs);
    return { task: given, decision: this.#record(given, verdict, reason, fromAgent, nowMs) };
  }

  /** Gives an agent's own task to its new incarnation, under a new attempt. */
  reissue(before: TaskRecord, agentId: string, nowMs: number): void {
    const task = { ...before, decisionCount: before.decisionCount + 1 };
    const given = this.#give(before, task, agentId, nowMs);
    this.#recordReturn(given, agentId, `keeps ${task.id} (${task.type}) under a new attempt`, nowMs);
  }

  /** A waiting task goes back to its last holder, which still works on it. @param given its attempt, which had ended */
  giveBack(before: TaskRecord, given: AttemptRow, nowMs: number): void {
    const { agentId } = given;
    const numbered = { ...before, decisionCount: before.decisionCount + 1 };
    const task = resumed(numbered, given, nowMs);
    this.#context.saveTask(before, task);
    this.#context.attempts.reopen(task.id, task.attempt);
    for (const type of ["task.assigned", "task.started"]) {
      this.#context.recordEvent(
        { type, subject: task.id, data: { agent_id: agentId, attempt: task.attempt } },
        nowMs,
      );
    }
    this.#recordReturn(
      task,
      agentId,
      `goes on with ${task.id} (${task.type}), which it had not given up, under the same attempt`,
      nowMs,
    );
  }

  /** Whether the agent can do the task at all, however much it has to do. */
  suits(agentId: string, task: TaskRecord): boolean {
    const candidate = this.#context.agents.unburdened(agentId);
    return candidate !== undefined && hardExclusion(task, candidate) === null;
  }

  /**
   * Who would take over now, in order: the task's list without those who no longer can, filled
   * up with the next best. Worked out when it is asked for, since every agent that comes or
   * goes would change thousands of lists.
   */
  backupsNow(task: TaskRecord, nowMs: number): readonly string[] {
    const { failover_config } = this.#context.settings.config;
    const { holder } = task;
    const isKept = strategyFor(failover_config).keepsBackups === true && !task.hasOwnBackups;
    if (!isKept || holder === null || !isHeld(task.status)) return task.backups;
    const withoutHolder = { ...task, previousAgents: [...task.previousAgents, holder] };
    const { selected, runnersUp } = this.#decide(withoutHolder, holder, nowMs);
    const ranking = selected === null ? [] : [selected, ...runnersUp];
    return ranking.filter((id) => id !== holder).slice(0, failover_config.backup_strategy_count);
  }

  /** Gives waiting tasks to whoever is best for them, as long as this agent has a slot free. */
  fill(agentId: string, nowMs: number): void {
    if (this.#context.tasks.countOf("pending") === 0) return;
    const agent = this.#context.agents.find(agentId);
    if (agent !== undefined) this.#fillFrom(this.#linesFor(agent), agentId, nowMs);
  }

  /** Goes on where a line was too long for one event. */
  fillRest(nowMs: number): void {
    const [next] = this.#unfilled;
    if (next !== undefined) this.#fillFrom(next[1], next[0], nowMs);
  }

  #linesFor(agent: AgentRecord): Line[] {
    return agent.capabilities.map((type) => new Line(this.#context, type));
  }

  #fillFrom(lines: Line[], agentId: string, nowMs: number): void {
    this.#unfilled.delete(agentId);
    for (let looked = 0; this.#context.agents.hasFreeSlot(agentId); looked++) {
      if (looked === LINE_LIMIT) {
        this.#unfilled.set(agentId, lines);
        return;
      }
      const next = mostUrgent(lines, nowMs)?.take();
      if (next === undefined) return;
      const task = this.#context.tasks.store.find(next.id);
      // Since the line was read it may have been cancelled, or placed.
      if (task?.status === "pending" && this.#couldTake(agentId, task)) {
        this.placeIfTaken(task, task, "capacity_freed", nowMs);
      }
    }
  }

  /**
   * Places a task if somebody can take it now; otherwise leaves it as it is, and off the record.
   * @param before the task as it is stored
   * @param task the task as it is to be placed
   * @param why what the reason does not say, in words
   * @returns the task as it stands then, or null if nobody can take it
   */
  placeIfTaken(
    before: TaskRecord,
    task: TaskRecord,
    reason: DecisionReason,
    nowMs: number,
    why: string | null = null,
  ): TaskRecord | null {
    const verdict = this.#decide(task, before.holder, nowMs);
    if (verdict.selected === null) return null;
    const numbered = { ...task, decisionCount: task.decisionCount + 1 };
    const given = this.#give(before, this.#withBackups(numbered, verdict), verdict.selected, nowMs);
    const explanation = why === null ? verdict.explanation : `Since ${why}, ${verdict.explanation}`;
    this.#record(given, { ...verdict, explanation }, reason, before.holder, nowMs);
    return given;
  }

  /** Under a strategy that keeps lists, whoever dropped out of the task's is replaced by the next best. */
  #withBackups(task: TaskRecord, { runnersUp }: Verdict): TaskRecord {
    const { failover_config } = this.#context.settings.config;
    if (task.hasOwnBackups || !strategyFor(failover_config).keepsBackups) return task;
    return { ...task, backups: runnersUp };
  }

  #couldTake(agentId: string, task: TaskRecord): boolean {
    const candidate = this.#context.agents.candidate(agentId);
    return candidate !== undefined && hardExclusion(task, candidate) === null;
  }

  #decide(task: TaskRecord, fromAgent: string | null, nowMs: number): Verdict {
    const config = this.#context.settings.config.failover_config;
    const typicalMs = this.#context.agents.typicalMs(task.type);
    const context = { strategy: strategyFor(config), nowMs, config, fromAgent, typicalMs };
    return decide(task, this.#context.agents.candidates(), context);
  }

  /** Nobody had to be chosen: whoever registered again has what it had. @param what it does, in words */
  #recordReturn(task: TaskRecord, agentId: string, what: string, nowMs: number): void {
    const { failover_config } = this.#context.settings.config;
    const verdict: Verdict = {
      strategy: strategyFor(failover_config).name,
      priorityLevel: priorityLevel(task.priority, failover_config.task_priority_levels),
      selected: agentId,
      explanation: `${agentId} registered again and ${what}.`,
      weights: {},
      candidates: [],
      runnersUp: [],
      candidateCount: 0,
      excluded: [],
      excludedCounts: {},
    };
    this.#record(task, verdict, "agent_reregistered", agentId, nowMs);
  }

  #give(before: TaskRecord | null, task: TaskRecord, agentId: string, nowMs: number): TaskRecord {
    const agent = this.#context.agents.find(agentId);
    if (agent === undefined) throw new Error("a task was given to an agent nobody knows");
    const given = assigned(task, agentId, nowMs);
    this.#context.saveTask(before, given);
    this.#context.attempts.insert(given, agent, nowMs);
    this.#context.recordEvent(
      { type: "task.assigned", subject: given.id, data: { agent_id: agentId, attempt: given.attempt } },
      nowMs,
    );
    this.#context.wakeups.changed(agentId, nowMs);
    return given;
  }

  #record(
    task: TaskRecord,
    verdict: Verdict,
    reason: DecisionReason,
    fromAgent: string | null,
    nowMs: number,
  ): Decision {
    const decision: Decision = {
      id: `${task.id}:${task.decisionCount}`,
      at: instant(nowMs),
      task_id: task.id,
      attempt: task.attempt,
      reason,
      strategy: verdict.strategy,
      priority_level: verdict.priorityLevel,
      from_agent: fromAgent,
      selected: verdict.selected,
      explanation: verdict.explanation,
      weights: { ...verdict.weights },
      candidates: verdict.candidates.map(({ agentId, score, factors }) => ({
        agent_id: agentId,
        score,
        factors: { ...factors },
      })),
      candidate_count: verdict.candidateCount,
      excluded: verdict.excluded.map(({ agentId, reason: why, detail }) => ({
        agent_id: agentId,
        reason: why,
        detail,
      })),
      excluded_counts: { ...verdict.excludedCounts },
    };
    this.#context.decisions.insert(task.decisionCount, decision);
    return decision;
  }
}

/** The waiting tasks of one type, read page by page, most urgent first. */
class Line {
  readonly #context: ClusterContext;
  readonly #type: string;
  #page: PendingTask[] = [];
  #last: QueuePosition | null = null;
  #isAtEnd = false;

  constructor(context: ClusterContext, type: string) {
    this.#context = context;
    this.#type = type;
  }

  headUrgency(nowMs: number): number | null {
    if (this.#page.length === 0 && !this.#isAtEnd) {
      this.#page = this.#context.tasks.store.waiting(this.#type, this.#last, nowMs, LINE_PAGE);
      this.#isAtEnd = this.#page.length < LINE_PAGE;
      this.#last = this.#page.at(-1) ?? this.#last;
    }
    return this.#page[0]?.urgency ?? null;
  }

  take(): PendingTask | undefined {
    return this.#page.shift();
  }
}

function mostUrgent(lines: readonly Line[], nowMs: number): Line | null {
  let best: { line: Line; urgency: number } | null = null;
  for (const line of lines) {
    const urgency = line.headUrgency(nowMs);
    if (urgency !== null && (best === null || urgency < best.urgency)) best = { line, urgency };
  }
  return best?.line ?? null;
}
