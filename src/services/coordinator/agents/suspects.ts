/**
 * Suspects: agents whose socket broke. Until their group reports that a suspect is back or failed, it takes no new tasks,
 * and its unstarted tasks are reassigned.
 */
import { instant } from "../../../contract/instant.ts";
import { isLive, liveStatus } from "../../../domain/agent.ts";
import type { AgentCleared, AgentSuspect } from "../../../protocol/messages.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { TaskReassigner } from "../failover/task-reassigner.ts";
import type { SlotFiller } from "../tasks/slot-filler.ts";

type Needs = Pick<ClusterContext, "agents" | "settings" | "tasks" | "wakeups" | "recordEvent">;
type Parts = {
  slots: Pick<SlotFiller, "fill">;
  reassigner: Pick<TaskReassigner, "openFor" | "suspicionCleared">;
};

export class Suspects {
  readonly #context: Needs;
  readonly #parts: Parts;

  constructor(context: Needs, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
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
      this.#parts.reassigner.openFor("agent_suspect", agent, nowMs);
    }
  }

  cleared({ agentId, incarnation }: AgentCleared, nowMs: number): void {
    const agent = this.#context.agents.find(agentId);
    if (agent?.incarnation !== incarnation || agent.status !== "suspect") return;
    this.#parts.reassigner.suspicionCleared(agentId);
    const status = liveStatus(agent.drain);
    this.#context.agents.save({ ...agent, status });
    this.#context.recordEvent({ type: `agent.${status}`, subject: agentId, data: { incarnation } }, nowMs);
    // The agent may not know the tasks that stayed with it.
    if (this.#context.tasks.unstartedOf(agentId) > 0) this.#context.wakeups.changed(agentId, nowMs);
    this.#parts.slots.fill(agentId, nowMs);
  }
}
