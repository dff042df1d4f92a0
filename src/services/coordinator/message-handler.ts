/** Applies the messages that groups and the notifier send to the coordinator. */
import type { BroadcastRequested, LoadReported, OutboxMessage } from "../../protocol/messages.ts";
import type { Suspects } from "./agents/suspects.ts";
import type { ClusterContext } from "./cluster-context.ts";
import type { AgentRestarts } from "./failover/agent-restarts.ts";
import type { Failover } from "./failover/failover.ts";

type Needs = Pick<ClusterContext, "agents" | "outbox" | "recordEvent">;
type Parts = {
  failover: Pick<Failover, "agentEnded">;
  suspects: Pick<Suspects, "suspected" | "cleared">;
  restarts: Pick<AgentRestarts, "replacedAgentAlive">;
};

export class MessageHandler {
  readonly #context: Needs;
  readonly #parts: Parts;

  constructor(context: Needs, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** @returns why the message can never be applied, or null */
  apply(message: OutboxMessage, nowMs: number): string | null {
    switch (message.type) {
      case "agent_ended":
        this.#parts.failover.agentEnded(message, nowMs);
        return null;
      case "agent_suspect":
        this.#parts.suspects.suspected(message, nowMs);
        return null;
      case "agent_cleared":
        this.#parts.suspects.cleared(message, nowMs);
        return null;
      case "replaced_agent_alive":
        this.#parts.restarts.replacedAgentAlive(message, nowMs);
        return null;
      case "agents_silent":
        for (const { agentId, incarnation, untilMs } of message.agents) {
          this.#context.agents.markSilent(agentId, incarnation, untilMs);
        }
        return null;
      case "load_reported":
        this.#saveLoad(message);
        return null;
      case "events_recorded":
        for (const event of message.events) this.#context.recordEvent(event, message.atMs);
        return null;
      case "broadcast_requested":
        this.#broadcast(message);
        return null;
      default:
        return `a coordinator does not handle messages of type "${message.type}"`;
    }
  }

  #saveLoad({ agentId, incarnation, load }: LoadReported): void {
    const agent = this.#context.agents.find(agentId);
    if (agent?.incarnation === incarnation) this.#context.agents.save({ ...agent, load });
  }

  #broadcast({ groups, ...message }: BroadcastRequested): void {
    for (const group of this.#context.agents.groups()) {
      if (groups !== null && !groups.includes(group)) continue;
      this.#context.outbox.send(`group/${group}`, { ...message, type: "broadcast" });
    }
  }
}
