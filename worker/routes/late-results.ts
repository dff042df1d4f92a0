/** Late results: what came when its attempt was over, and accepting it after all. */
import { PageQuery } from "../../src/contract/common.ts";
import { LateResultPage, TaskAnswer } from "../../src/contract/task.ts";
import type { App } from "../app-types.ts";
import { unwrap } from "../errors.ts";
import { coordinatorOf } from "../object-stubs.ts";
import { answer, CLUSTER, operation, params } from "../route-declaration.ts";

const LATE_RESULTS = `${CLUSTER}/tasks/{task}/late-results` as const;
const tags = ["tasks"];

const list = operation({
  operationId: "listLateResults",
  method: "get",
  path: LATE_RESULTS,
  summary: "Results that came when their attempt was over and are kept, in order of their attempts.",
  tags,
  request: { params: params("cluster", "task"), query: PageQuery },
  responses: { 200: answer("A page of late results.", LateResultPage) },
});

const accept = operation({
  operationId: "acceptLateResult",
  method: "post",
  path: `${LATE_RESULTS}/{attempt}/accept`,
  summary: "Completes the task with a late result; the current attempt is taken from its holder.",
  tags,
  request: { params: params("cluster", "task", "attempt") },
  responses: { 200: answer("The task, completed.", TaskAnswer) },
});

export function lateResultRoutes(app: App): void {
  app.openapi(list, async (c) => {
    const { cluster, task } = c.req.valid("param");
    const { limit, cursor } = c.req.valid("query");
    return c.json(unwrap(await coordinatorOf(c.env, cluster).lateResults(task, limit, cursor ?? null)), 200);
  });

  app.openapi(accept, async (c) => {
    const { cluster, task, attempt } = c.req.valid("param");
    return c.json({ task: unwrap(await coordinatorOf(c.env, cluster).acceptLateResult(task, attempt)) }, 200);
  });
}
