/** Builders of principals: who makes a call. */
import type { AgentPrincipal } from "../../src/domain/principal.ts";

export function agentPrincipal(
  agentId: string,
  incarnation: number,
  { cluster = "default", group = "default" }: { cluster?: string; group?: string } = {},
): AgentPrincipal {
  return { role: "agent", cluster, group, agentId, incarnation };
}
