/**
 * Tokens: mints an agent's token at its registration, and verifies the token of a call. `ADMIN_TOKEN` itself is the
 * administrator's token.
 */
import { sign, verify } from "hono/jwt";
import { type Outcome, ok, refuse } from "../src/contract/problem.ts";
import {
  ADMIN,
  type AgentPrincipal,
  MIN_ADMIN_TOKEN_CHARACTERS,
  type Principal,
} from "../src/domain/principal.ts";
import type { Env } from "../src/objects/env.ts";

const ALGORITHM = "HS256";

/** Verified tokens that an isolate remembers: verifying one costs about as much as the rest of a heartbeat. */
const CACHE_LIMIT = 10_000;

/** A valid token is shorter; a longer one is refused without computing a hash. */
const TOKEN_LIMIT = 2048;

const verified = new Map<string, Principal>();

export type Secrets = { adminToken: string; signingKey: string };

/** The secrets of the deployment, or why it answers no route that needs them. */
export function secretsIn({
  ADMIN_TOKEN,
  SIGNING_KEY,
}: Pick<Env, "ADMIN_TOKEN" | "SIGNING_KEY">): Outcome<Secrets> {
  if (!ADMIN_TOKEN || !SIGNING_KEY) {
    return refuse(
      "not_configured",
      "the secrets ADMIN_TOKEN and SIGNING_KEY are not both set; set them and restart or deploy again",
    );
  }
  if (ADMIN_TOKEN.length < MIN_ADMIN_TOKEN_CHARACTERS) {
    return refuse(
      "not_configured",
      `the secret ADMIN_TOKEN has fewer than ${MIN_ADMIN_TOKEN_CHARACTERS} characters; set a longer, random one and restart or deploy again`,
    );
  }
  return ok({ adminToken: ADMIN_TOKEN, signingKey: SIGNING_KEY });
}

export function mintAgentToken(principal: Omit<AgentPrincipal, "role">, signingKey: string): Promise<string> {
  const { cluster, group, agentId, incarnation } = principal;
  return sign({ role: "agent", cluster, group, sub: agentId, incarnation }, signingKey, ALGORITHM);
}

/** @returns null for a token that this deployment did not issue */
export async function principalOf(token: string, secrets: Secrets): Promise<Principal | null> {
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
