/**
 * Agents that are to be rid of their tasks without having failed: what they have not started
 * reassigner at once, what they run when the deadline comes. An operator's drain outlives a
 * registration, an agent's own ends with it.
 */
import type { DrainRequest } from "../../../contract/agent.ts";
import { instantOrNull, msOrNull } from "../../../contract/instant.ts";
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import {
  type AgentRecord,
  type Drain,
  drainAfter,
  extendedDrain,
  isLive,
  withDrain,
} from "../../../domain/agent.ts";
import { agentOf, type Principal } from "../../../domain/principal.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { TaskReassigner } from "../failover/task-reassigner.ts";
import { incarnationOver, noSuchAgent } from "../refusals.ts";
import type { Placement } from "../tasks/placement.ts";

export class Drains {
  readonly #context: ClusterContext;
  readonly #placement: Placement;
  readonly #reassigner: TaskReassigner;

  constructor(context: ClusterContext, placement: Placement, reassigner: TaskReassigner) {
    this.#context = context;
    this.#placement = placement;
    this.#reassigner = reassigner;
  }

  drain(agentId: string, request: DrainRequest, principal: Principal, nowMs: number): Outcome<null> {
    const agent = this.#context.agents.find(agentId);
    if (agent === undefined || agent.isLeaving) return noSuchAgent();
    if (isEnded(agent, principal)) return incarnationOver();
    if (!isLive(agent.status)) return refuse("invalid_transition", "the agent is inactive");
    const drain = drainAfter(agent.drain, drainOf(request, principal, nowMs));
    const draining = withDrain(agent, drain);
    this.#context.agents.save(draining);
    this.#tell(draining, nowMs);
    this.#begin(draining, nowMs);
    return ok(null);
  }

  /** One that does not drain goes on as it is. */
  resume(agentId: string, principal: Principal, nowMs: number): Outcome<null> {
    const agent = this.#context.agents.find(agentId);
    if (agent === undefined || agent.isLeaving) return noSuchAgent();
    if (isEnded(agent, principal)) return incarnationOver();
    if (agent.drain === null) return ok(null);
    if (principal.role === "agent" && agent.drain.by === "operator") {
      return refuse("forbidden", "an operator drains this agent, and an operator resumes it");
    }
    const resumed = withDrain(agent, null);
    this.#context.agents.save(resumed);
    this.#tell(resumed, nowMs);
    this.#placement.fill(agentId, nowMs);
    return ok(null);
  }

  /** A new incarnation is admitted under the operator's drain that the one before was under. */
  returned(agent: AgentRecord, nowMs: number): void {
    if (agent.drain === null) return;
    this.#tell(agent, nowMs);
    this.#begin(agent, nowMs);
  }

  nextWorkMs(): number | null {
    return this.#context.agents.earliestDrainDeadlineMs();
  }

  /** Deadlines that have passed: what the agent still runs is taken from it. */
  runDue(nowMs: number): void {
    for (const agent of this.#context.agents.drainingWithDeadline()) {
      if (isOverdue(agent, nowMs)) this.#end(agent, nowMs);
    }
  }

  /** The shortest heartbeat timeout among those whose drain has a deadline. */
  shortestTimeoutMs(): number | null {
    const timeouts = this.#context.agents.drainingWithDeadline().map((agent) => agent.heartbeatTimeoutMs);
    return timeouts.length === 0 ? null : Math.min(...timeouts);
  }

  /** We were away until `fromMs`. */
  extendDeadlines(fromMs: number): void {
    for (const agent of this.#context.agents.drainingWithDeadline()) {
      const credited = extendedDrain(agent, fromMs);
      if (credited !== agent) this.#context.agents.save(credited);
    }
  }

  #begin(agent: AgentRecord, nowMs: number): void {
    if (isOverdue(agent, nowMs)) this.#end(agent, nowMs);
    else this.#reassigner.openFor("agent_drained", agent, nowMs);
  }

  #end(agent: AgentRecord, nowMs: number): void {
    this.#context.agents.save({ ...agent, drain: agent.drain && { ...agent.drain, isOver: true } });
    this.#reassigner.openFor("drain_over", agent, nowMs);
  }

  /** To the log, and to the group, which tells the agent. */
  #tell(agent: AgentRecord, nowMs: number): void {
    const { id, incarnation, drain } = agent;
    const mode = drain?.mode ?? null;
    const deadlineMs = drain?.deadlineMs ?? null;
    if (drain !== null) {
      const data = { incarnation, mode, by: drain.by, deadline_at: instantOrNull(deadlineMs) };
      this.#context.recordEvent({ type: "agent.draining", subject: id, data }, nowMs);
    } else if (agent.status === "active") {
      this.#context.recordEvent({ type: "agent.active", subject: id, data: { incarnation } }, nowMs);
    }
    this.#context.outbox.send(`group/${agent.group}`, {
      type: "drain_changed",
      agentId: id,
      incarnation,
      mode,
      deadlineMs,
    });
  }
}

function drainOf({ mode, deadline_seconds }: DrainRequest, principal: Principal, nowMs: number): Drain {
  const delayMs = msOrNull(deadline_seconds) ?? (mode === "move" ? 0 : null);
  return {
    mode,
    by: principal.role === "agent" ? "agent" : "operator",
    deadlineMs: delayMs === null ? null : nowMs + delayMs,
    isOver: false,
    extensions: 0,
  };
}

/** Whether the caller is an incarnation that has ended. */
function isEnded(agent: AgentRecord, principal: Principal): boolean {
  const caller = agentOf(principal);
  return caller !== null && (caller.incarnation !== agent.incarnation || !isLive(agent.status));
}

function isOverdue({ drain }: AgentRecord, nowMs: number): boolean {
  return drain !== null && drain.deadlineMs !== null && drain.deadlineMs <= nowMs;
}
