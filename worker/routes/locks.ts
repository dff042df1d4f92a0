/** The locks of a group. */
import { PageQuery, ResourceId } from "../../src/contract/common.ts";
import { type Lock, LockAcquisition, LockAnswer, LockPage, LockProof } from "../../src/contract/lock.ts";
import type { Outcome } from "../../src/contract/problem.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { unwrap } from "../errors.ts";
import { waitForLock } from "../long-poll/lock-wait.ts";
import { refuseOtherAgents } from "../middleware/authorize.ts";
import { groupOf } from "../object-stubs.ts";
import { type Route, route } from "../route.ts";
import { answer, body, GROUP, page, params } from "../route-schemas.ts";

const LOCK = `${GROUP}/locks/{resource}` as const;
const tags = ["locks"];
const responses = { 200: answer("The lock.", LockAnswer) };

export const lockRoutes: readonly Route[] = [
  route(
    {
      operationId: "acquireLock",
      method: "post",
      path: `${LOCK}/acquire`,
      summary: "Acquire a lock",
      description:
        "With `wait_seconds` the call waits in the lock's queue, first in, first out. The holder that asks again gets its lock with the same token and a renewed TTL.",
      tags,
      request: { params: params("cluster", "group", "resource"), body: body(LockAcquisition) },
      responses,
    },
    async (c) => {
      const { cluster, group, resource } = c.req.valid("param");
      const request = c.req.valid("json");
      refuseOtherAgents(c, request.agent_id);
      const waitMs = (request.wait_seconds ?? 0) * 1000;
      if (waitMs > 0) {
        return c.json({ lock: await waitForLock(c, { cluster, group, resource, request, waitMs }) }, 200);
      }
      const object = groupOf(c.env, cluster, group);
      const { lock } = unwrap(await object.acquireLock(resource, request, c.get("principal")));
      if (lock === null) throw new Error("a call that does not wait was queued");
      return c.json({ lock }, 200);
    },
  ),

  byProof({
    verb: "renew",
    summary: "Renew the TTL of a lock",
    run: (object, { resource, token, principal }) => object.renewLock(resource, token, principal),
  }),

  byProof({
    verb: "release",
    summary: "Release a lock",
    description:
      "Grants the lock to the next waiter. Repeating the release returns the first answer, also when other agents have held the lock since.",
    run: (object, { resource, token, principal }) => object.releaseLock(resource, token, principal),
  }),

  route(
    {
      operationId: "listLocks",
      method: "get",
      path: `${GROUP}/locks`,
      summary: "List the held locks of a group",
      description: "Each lock has its holder, its expiry and the agents that wait for it.",
      tags,
      request: {
        params: params("cluster", "group"),
        query: PageQuery.extend({ cursor: ResourceId.optional() }),
      },
      responses: { 200: answer("A page of locks.", LockPage) },
    },
    async (c) => {
      const { cluster, group } = c.req.valid("param");
      const { limit, cursor } = page(c.req.valid("query"));
      return c.json(await groupOf(c.env, cluster, group).locks(limit, cursor), 200);
    },
  ),

  route(
    {
      operationId: "getLock",
      method: "get",
      path: LOCK,
      summary: "Read a held lock",
      tags,
      request: { params: params("cluster", "group", "resource") },
      responses,
    },
    async (c) => {
      const { cluster, group, resource } = c.req.valid("param");
      return c.json({ lock: unwrap(await groupOf(c.env, cluster, group).lock(resource)) }, 200);
    },
  ),

  route(
    {
      operationId: "breakLock",
      method: "delete",
      path: LOCK,
      summary: "Break a lock",
      description: "An operator takes the lock from its holder. The next waiter gets it.",
      tags,
      request: { params: params("cluster", "group", "resource") },
      responses,
    },
    async (c) => {
      const { cluster, group, resource } = c.req.valid("param");
      return c.json({ lock: unwrap(await groupOf(c.env, cluster, group).breakLock(resource)) }, 200);
    },
  ),
];

/** The holder of a lock, as it proves itself. */
type Proof = { resource: string; token: number; principal: Principal };

type ByProof = {
  verb: "renew" | "release";
  summary: string;
  description?: string;
  run(object: ReturnType<typeof groupOf>, proof: Proof): Promise<Outcome<Lock>>;
};

/** What the holder of a lock may do with it, by the fencing token of its grant. */
function byProof({ verb, run, ...texts }: ByProof): Route {
  return route(
    {
      operationId: `${verb}Lock`,
      method: "post",
      path: `${LOCK}/${verb}`,
      ...texts,
      tags,
      request: { params: params("cluster", "group", "resource"), body: body(LockProof) },
      responses,
    },
    async (c) => {
      const { cluster, group, resource } = c.req.valid("param");
      const { fencing_token: token } = c.req.valid("json");
      const object = groupOf(c.env, cluster, group);
      const outcome = await run(object, { resource, token, principal: c.get("principal") });
      return c.json({ lock: unwrap(outcome) }, 200);
    },
  );
}
