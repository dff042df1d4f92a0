/**
 * The table of roles: which roles may use each operation. A route whose operation is missing here does not compile.
 * An agent may use its operations only for itself: in its own cluster and group, under its own id.
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
  listConfigChanges: ADMIN,
  replaceConfig: ADMIN,
  patchConfig: ADMIN,
} as const satisfies Record<string, readonly Role[]>;

export type OperationId = keyof typeof ACCESS;

/**
 * Operations whose path may name another agent than the caller. The route of a registration refuses such a caller
 * itself, with more detail; a message may be sent to any agent of the cluster.
 */
const MAY_NAME_OTHERS: ReadonlySet<OperationId> = new Set<OperationId>(["registerAgent", "sendMessage"]);

/** What the path of a request names. */
export type PathNames = {
  cluster?: string | undefined;
  group?: string | undefined;
  agent?: string | undefined;
};

export function allow(principal: Principal, operation: OperationId, names: PathNames): Outcome<null> {
  const roles: readonly Role[] = ACCESS[operation];
  if (!roles.includes(principal.role)) {
    return refuse(
      "forbidden",
      `a token of the role ${principal.role} may not use ${operation}; this needs a token of the role ${roles.join(" or ")}`,
    );
  }
  if (principal.role === "admin") return ok(null);
  const { agent, ...place } = names;
  const isAllowed = isItself(principal, MAY_NAME_OTHERS.has(operation) ? place : names);
  return isAllowed ? ok(null) : { ok: false, problem: onlyForItself };
}

export const onlyForItself: Problem = {
  code: "forbidden",
  detail: "the token of an agent is valid only for that agent, in its own cluster and group",
};

function isItself(principal: AgentPrincipal, { cluster, group, agent }: PathNames): boolean {
  return (
    cluster === principal.cluster &&
    (group === undefined || group === principal.group) &&
    (agent === undefined || agent === principal.agentId)
  );
}
