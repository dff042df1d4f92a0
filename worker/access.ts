/**
 * Who may do what: one table from operation to roles. An operation that is missing here
 * does not compile, so no route escapes it. What an agent may touch is narrowed further:
 * its own cluster, group and id alone.
 */
import type { Outcome, Problem } from "../src/contract/problem.ts";
import { ok, refuse } from "../src/contract/problem.ts";
import type { AgentPrincipal, Principal, Role } from "./principal.ts";

const ADMIN: readonly Role[] = ["admin"];
const ADMIN_OR_AGENT: readonly Role[] = ["admin", "agent"];

const ACCESS = {
  registerAgent: ADMIN_OR_AGENT,
  heartbeat: ADMIN_OR_AGENT,
  listHeldTasks: ADMIN_OR_AGENT,
  unregisterAgent: ADMIN_OR_AGENT,
  listAgents: ADMIN,
  getAgent: ADMIN_OR_AGENT,
  reportFailure: ADMIN,

  submitTask: ADMIN,
  submitTasks: ADMIN,
  listTasks: ADMIN,
  getTask: ADMIN_OR_AGENT,
  listDecisions: ADMIN,
  startTask: ADMIN_OR_AGENT,
  reportProgress: ADMIN_OR_AGENT,
  completeTask: ADMIN_OR_AGENT,
  failTask: ADMIN_OR_AGENT,
  reportResults: ADMIN_OR_AGENT,
  cancelTask: ADMIN,
  retryTask: ADMIN,
  setBackups: ADMIN,

  acquireLock: ADMIN_OR_AGENT,
  renewLock: ADMIN_OR_AGENT,
  releaseLock: ADMIN_OR_AGENT,
  listLocks: ADMIN,
  getLock: ADMIN,
  breakLock: ADMIN,

  listFailures: ADMIN,
  getFailure: ADMIN,
  followEvents: ADMIN,
  listNotifications: ADMIN,
  getStatus: ADMIN,
  simulateFailover: ADMIN,
  getReadiness: ADMIN,
  getConfig: ADMIN,
  replaceConfig: ADMIN,
  patchConfig: ADMIN,
} as const satisfies Record<string, readonly Role[]>;

export type OperationId = keyof typeof ACCESS;

/** Where a request goes, as far as its path says. */
export type Target = { cluster?: string | undefined; group?: string | undefined; agent?: string | undefined };

export function allow(principal: Principal, operation: OperationId, target: Target): Outcome<null> {
  const roles: readonly Role[] = ACCESS[operation];
  if (!roles.includes(principal.role)) {
    return refuse("forbidden", `a token of the role ${principal.role} may not do this`);
  }
  if (principal.role === "admin") return ok(null);
  // Whether an agent's token may register that id is for the route to say: it has more to tell.
  const { agent, ...place } = target;
  const isAllowed = isItself(principal, operation === "registerAgent" ? place : target);
  return isAllowed ? ok(null) : { ok: false, problem: notItself };
}

export const notItself: Problem = {
  code: "forbidden",
  detail: "an agent's token speaks for that agent alone",
};

function isItself(principal: AgentPrincipal, { cluster, group, agent }: Target): boolean {
  return (
    cluster === principal.cluster &&
    (group === undefined || group === principal.group) &&
    (agent === undefined || agent === principal.agentId)
  );
}
