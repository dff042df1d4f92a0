/** Late results: results of attempts that were no longer current. */
import { PageQuery } from "../../../src/contract/common.ts";
import { LateResultPage, TaskAnswer } from "../../../src/contract/task.ts";
import { unwrap } from "../../errors.ts";
import { coordinatorOf } from "../../object-stubs.ts";
import { type Route, route } from "../../route.ts";
import { answer, CLUSTER, page, params } from "../../route-schemas.ts";

const LATE_RESULTS = `${CLUSTER}/tasks/{task}/late-results` as const;
const tags = ["tasks"];

export const lateResultRoutes: readonly Route[] = [
  route(
    {
      operationId: "listLateResults",
      method: "get",
      path: LATE_RESULTS,
      summary: "List the late results of a task",
      description:
        "Results that were reported for an attempt that was no longer current, in the order of their attempts.",
      tags,
      request: { params: params("cluster", "task"), query: PageQuery },
      responses: { 200: answer("A page of late results.", LateResultPage) },
    },
    async (c) => {
      const { cluster, task } = c.req.valid("param");
      const { limit, cursor } = page(c.req.valid("query"));
      return c.json(unwrap(await coordinatorOf(c.env, cluster).lateResults(task, limit, cursor)), 200);
    },
  ),

  route(
    {
      operationId: "acceptLateResult",
      method: "post",
      path: `${LATE_RESULTS}/{attempt}/accept`,
      summary: "Accept a late result",
      description: "Completes the task with this result and revokes its current attempt.",
      tags,
      request: { params: params("cluster", "task", "attempt") },
      responses: { 200: answer("The completed task.", TaskAnswer) },
    },
    async (c) => {
      const { cluster, task, attempt } = c.req.valid("param");
      return c.json(
        { task: unwrap(await coordinatorOf(c.env, cluster).acceptLateResult(task, attempt)) },
        200,
      );
    },
  ),
];
