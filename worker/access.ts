/**
 * Who may do what: one table from operation to roles. An operation that is missing here
 * does not compile, so no route escapes it. What an agent may touch is narrowed further:
 * its own cluster, group and id alone.
 */
import type { Outcome, Problem } from "../src/contract/problem.ts";
import { ok, refuse } from "../src/contract/problem.ts";
import type { AgentPrincipal, Principal, Role } from "../src/domain/principal.ts";

const ADMIN: readonly Role[] = ["admin"];
const AGENT: readonly Role[] = ["agent"];
const ADMIN_OR_AGENT: readonly Role[] = ["admin", "agent"];

const ACCESS = {
  registerAgent: ADMIN_OR_AGENT,
  heartbeat: ADMIN_OR_AGENT,
  heartbeats: ADMIN,
  drainAgent: ADMIN_OR_AGENT,
  resumeAgent: ADMIN_OR_AGENT,
  connectAgent: AGENT,
  listHeldTasks: ADMIN_OR_AGENT,
  unregisterAgent: ADMIN_OR_AGENT,
  listAgents: ADMIN,
  getAgent: ADMIN_OR_AGENT,
  reportFailure: ADMIN,

  listMessages: ADMIN_OR_AGENT,
  acknowledgeMessage: ADMIN_OR_AGENT,
  sendMessage: ADMIN_OR_AGENT,

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
  listLateResults: ADMIN,
  acceptLateResult: ADMIN,
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
  listIncidents: ADMIN,
  redeliverNotification: ADMIN,
  testNotifications: ADMIN,
  getStatus: ADMIN,
  simulateFailover: ADMIN,
  getReadiness: ADMIN,
  getConfig: ADMIN,
  replaceConfig: ADMIN,
  patchConfig: ADMIN,
} as const satisfies Record<string, readonly Role[]>;

export type OperationId = keyof typeof ACCESS;

/**
 * Operations whose path names an agent that need not be the one that speaks. Whether its token may register
 * that id is for the route to say, which has more to tell; a message is for any agent of the cluster.
 */
const NAMES_ANOTHER: ReadonlySet<OperationId> = new Set<OperationId>(["registerAgent", "sendMessage"]);

/** Where a request goes, as far as its path says. */
export type Target = { cluster?: string | undefined; group?: string | undefined; agent?: string | undefined };

export function allow(principal: Principal, operation: OperationId, target: Target): Outcome<null> {
  const roles: readonly Role[] = ACCESS[operation];
  if (!roles.includes(principal.role)) {
    return refuse("forbidden", `a token of the role ${principal.role} may not do this`);
  }
  if (principal.role === "admin") return ok(null);
  const { agent, ...place } = target;
  const isAllowed = isItself(principal, NAMES_ANOTHER.has(operation) ? place : target);
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
