/**
 * Takes a new default of the heartbeat timeout to the live agents that chose no timeout of their own. Their groups monitor
 * them with it from then on; each agent has one whole new timeout from that moment.
 */
import type { AppliedDefaults } from "../../../contract/config.ts";
import { isLive } from "../../../domain/agent.ts";
import { timeoutUnderDefault } from "../../../domain/liveness.ts";
import type { TimeoutsChanged } from "../../../protocol/messages.ts";
import type { ClusterContext } from "../cluster-context.ts";

/** Keeps a message well below what a row may hold. */
const AGENTS_PER_MESSAGE = 1000;

export class HeartbeatDefaults {
  readonly #context: Pick<ClusterContext, "agents" | "outbox" | "settings">;

  constructor(context: Pick<ClusterContext, "agents" | "outbox" | "settings">) {
    this.#context = context;
  }

  /** In the present transaction. @returns how many live agents have another timeout now, and how many keep their own */
  apply(): AppliedDefaults {
    const { agents, settings } = this.#context;
    const defaultTimeoutMs = settings.config.heartbeat_config.timeout_seconds * 1000;
    const changedByGroup = new Map<string, TimeoutsChanged["timeouts"]>();
    const applied = { agents: 0, keep_own: 0 };
    for (const agent of agents.all()) {
      if (!isLive(agent.status)) continue;
      const { id, group, incarnation, heartbeatIntervalMs: intervalMs } = agent;
      const timeoutMs = timeoutUnderDefault(
        { intervalMs, timeoutMs: agent.heartbeatTimeoutMs },
        defaultTimeoutMs,
      );
      if (agent.hasOwnTimeout) applied.keep_own += 1;
      if (agent.hasOwnTimeout || timeoutMs === agent.heartbeatTimeoutMs) continue;
      applied.agents += 1;
      agents.save({ ...agent, heartbeatTimeoutMs: timeoutMs });
      const changed = changedByGroup.get(group) ?? [];
      changed.push({ agentId: id, incarnation, timeoutMs });
      changedByGroup.set(group, changed);
    }
    for (const [group, changed] of changedByGroup) this.#send(group, changed);
    return applied;
  }

  #send(group: string, changed: TimeoutsChanged["timeouts"]): void {
    for (let from = 0; from < changed.length; from += AGENTS_PER_MESSAGE) {
      const timeouts = changed.slice(from, from + AGENTS_PER_MESSAGE);
      this.#context.outbox.send(`group/${group}`, { type: "timeouts_changed", timeouts });
    }
  }
}
