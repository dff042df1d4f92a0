/**
 * Agents whose socket broke: until their group says that they are back or gone they take no new
 * tasks, and what they have not started goes to others.
 */

import { instant } from "../../../contract/instant.ts";
import { isLive, standingStatus } from "../../../domain/agent.ts";
import type { AgentCleared, AgentSuspect } from "../../../protocol/messages.ts";
import type { Ledger } from "../cluster-context.ts";
import type { Moves } from "../failover/task-reassigner.ts";
import type { Placement } from "../tasks/placement.ts";

export class Suspects {
  readonly #ledger: Ledger;
  readonly #placement: Placement;
  readonly #moves: Moves;

  constructor(ledger: Ledger, placement: Placement, moves: Moves) {
    this.#ledger = ledger;
    this.#placement = placement;
    this.#moves = moves;
  }

  suspected({ agentId, incarnation, untilMs }: AgentSuspect, nowMs: number): void {
    const agent = this.#ledger.roster.find(agentId);
    if (agent?.incarnation !== incarnation || !isLive(agent.status) || agent.status === "suspect") return;
    this.#ledger.roster.save({ ...agent, status: "suspect" });
    this.#ledger.note(
      { type: "agent.suspect", subject: agentId, data: { incarnation, until: instant(untilMs) } },
      nowMs,
    );
    if (this.#ledger.settings.config.failover_config.enabled) {
      this.#moves.openFor("agent_suspect", agent, nowMs);
    }
  }

  cleared({ agentId, incarnation }: AgentCleared, nowMs: number): void {
    const agent = this.#ledger.roster.find(agentId);
    if (agent?.incarnation !== incarnation || agent.status !== "suspect") return;
    this.#moves.cleared(agentId);
    const status = standingStatus(agent.drain);
    this.#ledger.roster.save({ ...agent, status });
    this.#ledger.note({ type: `agent.${status}`, subject: agentId, data: { incarnation } }, nowMs);
    // What stayed with it, it may never have been told of.
    if (this.#ledger.tasks.unstartedOf(agentId) > 0) this.#ledger.doorbells.changed(agentId, nowMs);
    this.#placement.fill(agentId, nowMs);
  }
}
