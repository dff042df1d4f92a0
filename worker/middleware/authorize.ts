/**
 * Authorization: refuses a caller whose role may not use a route (see access.ts). An authenticated call of an agent
 * is also a sign of life, which its group is sent here unless the route asks the group itself.
 */
import type { MiddlewareHandler } from "hono";
import { agentOf, mayActFor } from "../../src/domain/principal.ts";
import type { Context, Vars } from "../context.ts";
import { Refused } from "../errors.ts";
import { groupOf, inBackground } from "../object-stubs.ts";
import { allow, type OperationId, onlyForItself } from "../route-roles.ts";

export function authorize(operationId: OperationId): MiddlewareHandler<Vars> {
  return async (c, next) => {
    const allowed = allow(c.get("principal"), operationId, {
      cluster: c.req.param("cluster"),
      group: c.req.param("group"),
      agent: c.req.param("agent"),
    });
    if (!allowed.ok) throw new Refused(allowed.problem);
    if (!ASKS_THE_GROUP.has(operationId)) sendSignOfLife(c);
    await next();
  };
}

/** Routes whose handler calls the group of the agent, which takes that call as a sign of life. */
const ASKS_THE_GROUP: ReadonlySet<OperationId> = new Set<OperationId>([
  "registerAgent",
  "heartbeat",
  "connectAgent",
  "listHeldTasks",
  "unregisterAgent",
  "listMessages",
  "acknowledgeMessage",
  "sendMessage",
  "acquireLock",
  "renewLock",
  "releaseLock",
]);

function sendSignOfLife(c: Context): void {
  const caller = agentOf(c.get("principal"));
  if (caller === null) return;
  inBackground(c, () => groupOf(c.env, caller.cluster, caller.group).signOfLife(caller));
}

/** Refuses an agent that names another one in the body of its request. */
export function refuseOtherAgents(c: Context, agentId: string): void {
  if (!mayActFor(c.get("principal"), agentId)) throw new Refused(onlyForItself);
}
