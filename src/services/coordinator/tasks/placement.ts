/**
 * Gives tasks to agents: asks the strategy, records the decision, and writes the new attempt. A task that no agent can
 * take becomes pending.
 */
import type { Decision, DecisionReason } from "../../../contract/placement/decision.ts";
import { isHeld, type TaskRecord } from "../../../domain/task.ts";
import { assigned, madePending, resumed } from "../../../domain/task-lifecycle.ts";
import type { AttemptRow } from "../../../storage/coordinator/attempts.ts";
import { decide } from "../../../strategies/decide.ts";
import { hardExclusion } from "../../../strategies/eligibility.ts";
import { exclusionWords } from "../../../strategies/explanation.ts";
import { strategyFor } from "../../../strategies/registry.ts";
import { priorityLevel, type Verdict } from "../../../strategies/strategy.ts";
import type { ClusterContext } from "../cluster-context.ts";
import { type DecisionFacts, decisionRecord } from "./decision-record.ts";

/** A task that needs an agent. */
export type PlacementRequest = {
  /** The task as it is stored, null for a new one. */
  before: TaskRecord | null;
  /** The task as it is to be placed. */
  task: TaskRecord;
  reason: DecisionReason;
};

export type Placed = { task: TaskRecord; decision: Decision };

type Needs = Pick<
  ClusterContext,
  "agents" | "attempts" | "decisions" | "settings" | "wakeups" | "recordEvent" | "saveTask"
>;

export class Placement {
  readonly #context: Needs;

  constructor(context: Needs) {
    this.#context = context;
  }

  /** Decides which agent gets the task, and stores the task either as assigned or as pending. */
  place(request: PlacementRequest, nowMs: number): Placed {
    const { before, task, reason } = request;
    const fromAgent = before?.holder ?? null;
    const verdict = this.#decide(task, fromAgent, nowMs);
    const placed =
      this.#assignSelected(request, verdict, nowMs) ?? this.#makePending(request, verdict, nowMs);
    return {
      task: placed,
      decision: this.#recordDecision({ task: placed, verdict, reason, fromAgent }, nowMs),
    };
  }

  /**
   * Places the task if an agent can take it now; otherwise nothing is changed or recorded.
   * @param request with what the reason does not say, in words
   * @returns the task after the placement, or null if no agent can take it
   */
  placeIfPossible(
    request: PlacementRequest & { before: TaskRecord; because?: string },
    nowMs: number,
  ): TaskRecord | null {
    const { before, task, reason, because } = request;
    const verdict = this.#decide(task, before.holder, nowMs);
    const given = this.#assignSelected(request, verdict, nowMs);
    if (given === null) return null;
    const explanation =
      because === undefined ? verdict.explanation : `Since ${because}, ${verdict.explanation}`;
    this.#recordDecision(
      { task: given, verdict: { ...verdict, explanation }, reason, fromAgent: before.holder },
      nowMs,
    );
    return given;
  }

  /** Gives a task of an agent to the agent's new incarnation, under a new attempt. */
  reissue(before: TaskRecord, agentId: string, nowMs: number): void {
    const given = this.#assign({ before, task: withNextDecision(before) }, agentId, nowMs);
    const explanation = `${agentId} registered again and keeps ${given.id} (${given.type}) under a new attempt.`;
    this.#recordReturn(given, { reason: "agent_reregistered", explanation }, nowMs);
  }

  /**
   * Leaves a task with the agent whose process died while it worked on the task, under a new attempt.
   * @returns the task afterwards
   */
  giveAgain({ before, task }: Change, agentId: string, nowMs: number): TaskRecord {
    const given = this.#assign({ before, task: withNextDecision(task) }, agentId, nowMs);
    const explanation = `${agentId} gets ${given.id} (${given.type}) once more: its process restarted while it ran the task, for the first time.`;
    this.#recordReturn(given, { reason: "agent_restarted", explanation }, nowMs);
    return given;
  }

  /**
   * A pending task goes back to its last holder, which still works on it.
   * @param attempt the attempt of that holder, which had ended
   */
  giveBack(before: TaskRecord, attempt: AttemptRow, nowMs: number): void {
    const task = resumed(withNextDecision(before), attempt, nowMs);
    this.#context.saveTask(before, task);
    this.#context.attempts.reopen(task.id, task.attempt);
    for (const type of ["task.assigned", "task.started"]) {
      this.#context.recordEvent(
        { type, subject: task.id, data: { agent_id: attempt.agentId, attempt: task.attempt } },
        nowMs,
      );
    }
    const explanation = `${task.holder} registered again and goes on with ${task.id} (${task.type}), which it had not given up, under the same attempt.`;
    this.#recordReturn(task, { reason: "agent_reregistered", explanation }, nowMs);
  }

  /** Whether the agent can do the task at all, apart from its other tasks and its drain. */
  canDo(agentId: string, task: TaskRecord): boolean {
    const candidate = this.#context.agents.unburdened(agentId);
    return candidate !== undefined && hardExclusion(task, candidate) === null;
  }

  /** Whether the agent can take the task now. */
  canTakeNow(agentId: string, task: TaskRecord): boolean {
    const candidate = this.#context.agents.candidate(agentId);
    return candidate !== undefined && hardExclusion(task, candidate) === null;
  }

  /**
   * The agents that would take over now, in order: the task's list without those that no longer can, filled up with the
   * next best. The list is computed when it is read, since each agent that comes or goes would change thousands of lists.
   */
  backupsNow(task: TaskRecord, nowMs: number): readonly string[] {
    const { failover_config } = this.#context.settings.config;
    const { holder } = task;
    const isRanked = strategyFor(failover_config).keepsBackups === true && !task.hasOwnBackups;
    if (!isRanked || holder === null || !isHeld(task.status)) return task.backups;
    const withoutHolder = { ...task, previousAgents: [...task.previousAgents, holder] };
    const { selected, runnersUp } = this.#decide(withoutHolder, holder, nowMs);
    const ranking = selected === null ? [] : [selected, ...runnersUp];
    return ranking.filter((id) => id !== holder).slice(0, failover_config.backup_strategy_count);
  }

  #decide(task: TaskRecord, fromAgent: string | null, nowMs: number): Verdict {
    const { agents, settings } = this.#context;
    const config = settings.config.failover_config;
    const typicalMs = agents.typicalMs(task.type);
    return decide(task, agents.candidates(), {
      strategy: strategyFor(config),
      nowMs,
      config,
      fromAgent,
      typicalMs,
    });
  }

  /** @returns the task as it was assigned, or null if no agent was selected */
  #assignSelected(
    { before, task }: Change,
    { selected, runnersUp }: Verdict,
    nowMs: number,
  ): TaskRecord | null {
    if (selected === null) return null;
    const { failover_config } = this.#context.settings.config;
    const isRanked = strategyFor(failover_config).keepsBackups === true && !task.hasOwnBackups;
    const numbered = withNextDecision(task);
    const change = { before, task: isRanked ? { ...numbered, backups: runnersUp } : numbered };
    return this.#assign(change, selected, nowMs);
  }

  #assign({ before, task }: Change, agentId: string, nowMs: number): TaskRecord {
    const agent = this.#context.agents.find(agentId);
    if (agent === undefined) throw new Error("a task was assigned to an agent that is not in the registry");
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

  #makePending({ before, task }: Change, verdict: Verdict, nowMs: number): TaskRecord {
    const reason = exclusionWords(verdict) || "no agent is registered";
    const pending = { ...madePending(withNextDecision(task), reason, null), queuedAtMs: nowMs };
    this.#context.saveTask(before, pending);
    this.#context.recordEvent({ type: "task.pending", subject: task.id, data: { reason } }, nowMs);
    return pending;
  }

  /** No agent had to be chosen: one that registered again keeps its task. */
  #recordReturn(
    task: TaskRecord,
    { reason, explanation }: { reason: DecisionReason; explanation: string },
    nowMs: number,
  ): void {
    const { failover_config } = this.#context.settings.config;
    const { holder } = task;
    const verdict: Verdict = {
      strategy: strategyFor(failover_config).name,
      priorityLevel: priorityLevel(task.priority, failover_config.task_priority_levels),
      selected: holder,
      explanation,
      weights: {},
      candidates: [],
      runnersUp: [],
      candidateCount: 0,
      excluded: [],
      excludedCounts: {},
    };
    this.#recordDecision({ task, verdict, reason, fromAgent: holder }, nowMs);
  }

  #recordDecision(facts: DecisionFacts, nowMs: number): Decision {
    const decision = decisionRecord(facts, nowMs);
    this.#context.decisions.insert(facts.task.decisionCount, decision);
    return decision;
  }
}

type Change = Pick<PlacementRequest, "before" | "task">;

function withNextDecision(task: TaskRecord): TaskRecord {
  return { ...task, decisionCount: task.decisionCount + 1 };
}
