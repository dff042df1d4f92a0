/**
 * Who makes a call, as the token of the call says. One type goes from the HTTP request and the socket down to the
 * services. An agent's principal names one incarnation; the object that owns the agent says whether it has ended.
 */

export type AdminPrincipal = { role: "admin" };

export type AgentPrincipal = {
  role: "agent";
  cluster: string;
  group: string;
  agentId: string;
  incarnation: number;
};

export type Principal = AdminPrincipal | AgentPrincipal;

export type Role = Principal["role"];

export const ADMIN: AdminPrincipal = { role: "admin" };

/** The agent that calls, or null if an operator does. */
export function agentOf(principal: Principal): AgentPrincipal | null {
  return principal.role === "agent" ? principal : null;
}

/** Whether the caller may act in the name of this agent: an agent acts for itself, an operator for any. */
export function mayActFor(principal: Principal, agentId: string): boolean {
  const caller = agentOf(principal);
  return caller === null || caller.agentId === agentId;
}

/** A stable name of the token's owner. It is stored with the agents that the owner registers. */
export function ownerOf(principal: Principal): string {
  const caller = agentOf(principal);
  return caller === null ? "admin" : `agent/${caller.agentId}`;
}

/** 16 random characters of a token's alphabet have 96 bits, too many to guess over HTTP. */
export const MIN_ADMIN_TOKEN_CHARACTERS = 16;
