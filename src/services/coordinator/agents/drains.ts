/**
 * Drains: an agent takes no new tasks, its unstarted tasks are reassigned at once, and its running tasks at the
 * deadline. No failure is recorded. An operator's drain outlives a registration, an agent's own drain ends with it.
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
import { noSuchAgent, sessionExpired } from "../refusals.ts";
import type { SlotFiller } from "../tasks/slot-filler.ts";

export type DrainOrder = { agentId: string; request: DrainRequest; principal: Principal };

type Needs = Pick<ClusterContext, "agents" | "outbox" | "recordEvent">;
type Parts = { slots: Pick<SlotFiller, "fill">; reassigner: Pick<TaskReassigner, "openFor"> };

export class Drains {
  readonly #context: Needs;
  readonly #parts: Parts;

  constructor(context: Needs, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
  }

  drain({ agentId, request, principal }: DrainOrder, nowMs: number): Outcome<null> {
    const agent = this.#context.agents.find(agentId);
    if (agent === undefined || agent.isLeaving) return noSuchAgent();
    const ended = refuseEnded(agent, principal);
    if (ended !== null) return ended;
    if (!isLive(agent.status)) {
      return refuse("invalid_transition", "the agent is inactive: only a live agent can drain");
    }
    const drain = drainAfter(agent.drain, drainOf(request, principal, nowMs));
    const draining = withDrain(agent, drain);
    this.#context.agents.save(draining);
    this.#announce(draining, nowMs);
    this.#begin(draining, nowMs);
    return ok(null);
  }

  /** Ends the drain. An agent that does not drain stays as it is. */
  resume(agentId: string, principal: Principal, nowMs: number): Outcome<null> {
    const agent = this.#context.agents.find(agentId);
    if (agent === undefined || agent.isLeaving) return noSuchAgent();
    const ended = refuseEnded(agent, principal);
    if (ended !== null) return ended;
    if (agent.drain === null) return ok(null);
    if (principal.role === "agent" && agent.drain.by === "operator") {
      return refuse("forbidden", "an operator drained this agent: only an operator can resume it");
    }
    const resumed = withDrain(agent, null);
    this.#context.agents.save(resumed);
    this.#announce(resumed, nowMs);
    this.#parts.slots.fill(agentId, nowMs);
    return ok(null);
  }

  /** A new incarnation continues the operator's drain of the previous one. */
  reapply(agent: AgentRecord, nowMs: number): void {
    if (agent.drain === null) return;
    this.#announce(agent, nowMs);
    this.#begin(agent, nowMs);
  }

  nextWorkMs(): number | null {
    return this.#context.agents.earliestDrainDeadlineMs();
  }

  /** Reassigns the running tasks of agents whose deadline has passed. */
  runDue(nowMs: number): void {
    for (const agent of this.#context.agents.drainingWithDeadline()) {
      if (isOverdue(agent, nowMs)) this.#end(agent, nowMs);
    }
  }

  /** The shortest heartbeat timeout of the agents whose drain has a deadline; null if there is none. */
  shortestTimeoutMs(): number | null {
    const timeouts = this.#context.agents.drainingWithDeadline().map((agent) => agent.heartbeatTimeoutMs);
    return timeouts.length === 0 ? null : Math.min(...timeouts);
  }

  /** After our own outage, which lasted until `fromMs`. */
  extendDeadlines(fromMs: number): void {
    for (const agent of this.#context.agents.drainingWithDeadline()) {
      const extended = extendedDrain(agent, fromMs);
      if (extended !== agent) this.#context.agents.save(extended);
    }
  }

  #begin(agent: AgentRecord, nowMs: number): void {
    if (isOverdue(agent, nowMs)) this.#end(agent, nowMs);
    else this.#parts.reassigner.openFor("agent_drained", agent, nowMs);
  }

  #end(agent: AgentRecord, nowMs: number): void {
    this.#context.agents.save({ ...agent, drain: agent.drain && { ...agent.drain, isOver: true } });
    this.#parts.reassigner.openFor("drain_over", agent, nowMs);
  }

  /** Adds the event, and tells the group, which tells the agent. */
  #announce(agent: AgentRecord, nowMs: number): void {
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

/** Refuses an incarnation that has ended. */
function refuseEnded(agent: AgentRecord, principal: Principal): Outcome<never> | null {
  const caller = agentOf(principal);
  if (caller === null || (caller.incarnation === agent.incarnation && isLive(agent.status))) return null;
  return sessionExpired(agent, caller);
}

function isOverdue({ drain }: AgentRecord, nowMs: number): boolean {
  return drain !== null && drain.deadlineMs !== null && drain.deadlineMs <= nowMs;
}
