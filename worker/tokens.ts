/**
 * Tokens: mints an agent's token at its registration, and verifies the token of a call. `ADMIN_TOKEN` itself is the
 * administrator's token.
 */
import { sign, verify } from "hono/jwt";
import { ADMIN, type AgentPrincipal, type Principal } from "../src/domain/principal.ts";

const ALGORITHM = "HS256";

/** Verified tokens that an isolate remembers: verifying one costs about as much as the rest of a heartbeat. */
const CACHE_LIMIT = 10_000;

/** A valid token is shorter; a longer one is refused without computing a hash. */
const TOKEN_LIMIT = 2048;

const verified = new Map<string, Principal>();

export function mintAgentToken(principal: Omit<AgentPrincipal, "role">, signingKey: string): Promise<string> {
  const { cluster, group, agentId, incarnation } = principal;
  return sign({ role: "agent", cluster, group, sub: agentId, incarnation }, signingKey, ALGORITHM);
}

/** @returns null for a token that this deployment did not issue */
export async function principalOf(
  token: string,
  secrets: { adminToken: string; signingKey: string },
): Promise<Principal | null> {
  if (token.length > TOKEN_LIMIT) return null;
  if (await isSame(token, secrets.adminToken)) return ADMIN;
  const key = `${secrets.signingKey} ${token}`;
  const known = verified.get(key);
  if (known !== undefined) return known;
  const principal = await verifyAgentToken(token, secrets.signingKey);
  if (principal !== null) remember(key, principal);
  return principal;
}

async function verifyAgentToken(token: string, signingKey: string): Promise<Principal | null> {
  if (token.split(".").length !== 3) return null;
  try {
    const { role, cluster, group, sub, incarnation } = await verify(token, signingKey, ALGORITHM);
    const isAgent =
      role === "agent" &&
      typeof cluster === "string" &&
      typeof group === "string" &&
      typeof sub === "string" &&
      typeof incarnation === "number";
    return isAgent ? { role, cluster, group, agentId: sub, incarnation } : null;
  } catch {
    return null;
  }
}

/** Forgets the oldest token if the cache is full. A token in use is soon remembered again. */
function remember(key: string, principal: Principal): void {
  if (verified.size >= CACHE_LIMIT) {
    const [oldest] = verified.keys();
    if (oldest !== undefined) verified.delete(oldest);
  }
  verified.set(key, principal);
}

/** Compares in a time that does not depend on how many characters are equal. */
async function isSame(given: string, expected: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const one = encoder.encode(given);
  const other = encoder.encode(expected);
  if (one.byteLength !== other.byteLength) return false;
  return crypto.subtle.timingSafeEqual(one, other);
}
