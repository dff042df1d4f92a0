/** Locks of a group. */
import { PageQuery, ResourceId } from "../../src/contract/common.ts";
import { LockAcquisition, LockAnswer, LockPage, LockProof } from "../../src/contract/lock.ts";
import type { App } from "../app-types.ts";
import { unwrap } from "../errors.ts";
import { acquireInLine } from "../lock-wait.ts";
import { groupOf } from "../object-stubs.ts";
import { answer, body, GROUP, operation, params, refuseOthers } from "../route-declaration.ts";

const LOCK = `${GROUP}/locks/{resource}` as const;
const tags = ["locks"];
const lock = { 200: answer("The lock.", LockAnswer) };

const acquire = operation({
  operationId: "acquireLock",
  method: "post",
  path: `${LOCK}/acquire`,
  summary:
    "Acquires a lock, waiting in line if asked to; the holder asking again gets its own back, with its TTL renewed.",
  tags,
  request: { params: params("cluster", "group", "resource"), body: body(LockAcquisition) },
  responses: lock,
});

const renew = operation({
  operationId: "renewLock",
  method: "post",
  path: `${LOCK}/renew`,
  summary: "Renews a lock's TTL.",
  tags,
  request: { params: params("cluster", "group", "resource"), body: body(LockProof) },
  responses: lock,
});

const release = operation({
  operationId: "releaseLock",
  method: "post",
  path: `${LOCK}/release`,
  summary: "Releases a lock.",
  tags,
  request: { params: params("cluster", "group", "resource"), body: body(LockProof) },
  responses: lock,
});

const list = operation({
  operationId: "listLocks",
  method: "get",
  path: `${GROUP}/locks`,
  summary: "Who holds what, until when, and who waits for it.",
  tags,
  request: { params: params("cluster", "group"), query: PageQuery.extend({ cursor: ResourceId.optional() }) },
  responses: { 200: answer("A page of locks.", LockPage) },
});

const get = operation({
  operationId: "getLock",
  method: "get",
  path: LOCK,
  summary: "One lock.",
  tags,
  request: { params: params("cluster", "group", "resource") },
  responses: lock,
});

const breakLock = operation({
  operationId: "breakLock",
  method: "delete",
  path: LOCK,
  summary: "Breaks a lock, whoever holds it.",
  tags,
  request: { params: params("cluster", "group", "resource") },
  responses: lock,
});

export function lockRoutes(app: App): void {
  app.openapi(acquire, async (c) => {
    const { cluster, group, resource } = c.req.valid("param");
    const request = c.req.valid("json");
    refuseOthers(c, request.agent_id);
    const waitMs = (request.wait_seconds ?? 0) * 1000;
    if (waitMs > 0) {
      return c.json({ lock: await acquireInLine(c, { cluster, group, resource, request, waitMs }) }, 200);
    }
    const acquired = await groupOf(c.env, cluster, group).acquireLock(resource, request, c.get("principal"));
    const { lock } = unwrap(acquired);
    if (lock === null) throw new Error("a call that does not wait was queued");
    return c.json({ lock }, 200);
  });

  app.openapi(renew, async (c) => {
    const { cluster, group, resource } = c.req.valid("param");
    const { fencing_token } = c.req.valid("json");
    const outcome = await groupOf(c.env, cluster, group).renewLock(
      resource,
      fencing_token,
      c.get("principal"),
    );
    return c.json({ lock: unwrap(outcome) }, 200);
  });

  app.openapi(release, async (c) => {
    const { cluster, group, resource } = c.req.valid("param");
    const { fencing_token } = c.req.valid("json");
    const outcome = await groupOf(c.env, cluster, group).releaseLock(
      resource,
      fencing_token,
      c.get("principal"),
    );
    return c.json({ lock: unwrap(outcome) }, 200);
  });

  app.openapi(list, async (c) => {
    const { cluster, group } = c.req.valid("param");
    const { limit, cursor } = c.req.valid("query");
    return c.json(await groupOf(c.env, cluster, group).locks(limit, cursor ?? null), 200);
  });

  app.openapi(get, async (c) => {
    const { cluster, group, resource } = c.req.valid("param");
    return c.json({ lock: unwrap(await groupOf(c.env, cluster, group).lock(resource)) }, 200);
  });

  app.openapi(breakLock, async (c) => {
    const { cluster, group, resource } = c.req.valid("param");
    return c.json({ lock: unwrap(await groupOf(c.env, cluster, group).breakLock(resource)) }, 200);
  });
}
