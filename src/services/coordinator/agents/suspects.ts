/**
 * Agents whose socket broke: until their group says that they are back or gone they take no new
 * tasks, and what they have not started goes to others.
 */

import { instant } from "../../../contract/instant.ts";
import { isLive, liveStatus } from "../../../domain/agent.ts";
import type { AgentCleared, AgentSuspect } from "../../../protocol/messages.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { TaskReassigner } from "../failover/task-reassigner.ts";
import type { Placement } from "../tasks/placement.ts";

export class Suspects {
  readonly #context: ClusterContext;
  readonly #placement: Placement;
  readonly #reassigner: TaskReassigner;

  constructor(context: ClusterContext, placement: Placement, reassigner: TaskReassigner) {
    this.#context = context;
    this.#placement = placement;
    this.#reassigner = reassigner;
  }

  suspected({ agentId, incarnation, untilMs }: AgentSuspect, nowMs: number): void {
    const agent = this.#context.agents.find(agentId);
    if (agent?.incarnation !== incarnation || !isLive(agent.status) || agent.status === "suspect") return;
    this.#context.agents.save({ ...agent, status: "suspect" });
    this.#context.recordEvent(
      { type: "agent.suspect", subject: agentId, data: { incarnation, until: instant(untilMs) } },
      nowMs,
    );
    if (this.#context.settings.config.failover_config.enabled) {
      this.#reassigner.openFor("agent_suspect", agent, nowMs);
    }
  }

  cleared({ agentId, incarnation }: AgentCleared, nowMs: number): void {
    const agent = this.#context.agents.find(agentId);
    if (agent?.incarnation !== incarnation || agent.status !== "suspect") return;
    this.#reassigner.cleared(agentId);
    const status = liveStatus(agent.drain);
    this.#context.agents.save({ ...agent, status });
    this.#context.recordEvent({ type: `agent.${status}`, subject: agentId, data: { incarnation } }, nowMs);
    // What stayed with it, it may never have been told of.
    if (this.#context.tasks.unstartedOf(agentId) > 0) this.#context.wakeups.changed(agentId, nowMs);
    this.#placement.fill(agentId, nowMs);
  }
}
