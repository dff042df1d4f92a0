/** Reports of agents on the tasks that they hold. */
import * as z from "zod";
import { Id } from "../../../src/contract/common.ts";
import { ErrorCode } from "../../../src/contract/problem.ts";
import {
  ResultBatch,
  TaskAnswer,
  TaskCompletion,
  TaskFailure,
  TaskProgress,
  TaskStart,
} from "../../../src/contract/task.ts";
import { unwrap } from "../../errors.ts";
import { refuseOtherAgents } from "../../middleware/authorize.ts";
import { coordinatorOf } from "../../object-stubs.ts";
import { type Route, route } from "../../route.ts";
import { answer, body, CLUSTER, params } from "../../route-schemas.ts";

const TASK = `${CLUSTER}/tasks/{task}` as const;
const tags = ["tasks"];
const responses = { 200: answer("The task after the report.", TaskAnswer) };

const ResultItem = z.object({ task_id: Id, ok: z.boolean(), code: ErrorCode.optional() });

export const taskReportRoutes: readonly Route[] = [
  route(
    {
      operationId: "startTask",
      method: "post",
      path: `${TASK}/start`,
      summary: "Start an assigned task",
      description: "The answer 200 is the permission to work on this attempt.",
      tags,
      request: { params: params("cluster", "task"), body: body(TaskStart) },
      responses,
    },
    async (c) => {
      const { cluster, task } = c.req.valid("param");
      const report = c.req.valid("json");
      refuseOtherAgents(c, report.agent_id);
      const outcome = await coordinatorOf(c.env, cluster).start(task, report, c.get("principal"));
      return c.json({ task: unwrap(outcome) }, 200);
    },
  ),

  route(
    {
      operationId: "reportProgress",
      method: "post",
      path: `${TASK}/progress`,
      summary: "Report the progress of a task",
      description: "Starts the task if it is not running yet.",
      tags,
      request: { params: params("cluster", "task"), body: body(TaskProgress) },
      responses,
    },
    async (c) => {
      const { cluster, task } = c.req.valid("param");
      const report = c.req.valid("json");
      refuseOtherAgents(c, report.agent_id);
      const outcome = await coordinatorOf(c.env, cluster).progress(task, report, c.get("principal"));
      return c.json({ task: unwrap(outcome) }, 200);
    },
  ),

  route(
    {
      operationId: "completeTask",
      method: "post",
      path: `${TASK}/complete`,
      summary: "Report the result of a task",
      description:
        "Repeating the report of the same attempt returns the first answer. A result of an attempt that is no longer current may be kept as a late result.",
      tags,
      request: { params: params("cluster", "task"), body: body(TaskCompletion) },
      responses,
    },
    async (c) => {
      const { cluster, task } = c.req.valid("param");
      const report = c.req.valid("json");
      refuseOtherAgents(c, report.agent_id);
      const outcome = await coordinatorOf(c.env, cluster).complete(task, report, c.get("principal"));
      return c.json({ task: unwrap(outcome) }, 200);
    },
  ),

  route(
    {
      operationId: "failTask",
      method: "post",
      path: `${TASK}/fail`,
      summary: "Report that a task failed",
      description: "A retryable failure puts the task back into the queue, with back-off.",
      tags,
      request: { params: params("cluster", "task"), body: body(TaskFailure) },
      responses,
    },
    async (c) => {
      const { cluster, task } = c.req.valid("param");
      const report = c.req.valid("json");
      refuseOtherAgents(c, report.agent_id);
      const outcome = await coordinatorOf(c.env, cluster).fail(task, report, c.get("principal"));
      return c.json({ task: unwrap(outcome) }, 200);
    },
  ),

  route(
    {
      operationId: "reportResults",
      method: "post",
      path: `${CLUSTER}/results`,
      summary: "Report the results of up to 1,000 tasks",
      description: "Each item has a result or an error.",
      tags,
      request: { params: params("cluster"), body: body(ResultBatch) },
      responses: {
        200: answer("One answer for each report, in order.", z.object({ results: z.array(ResultItem) })),
      },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      const items = c.req.valid("json").results;
      for (const item of items) refuseOtherAgents(c, item.agent_id);
      const outcomes = await coordinatorOf(c.env, cluster).settleBatch(items, c.get("principal"));
      const results = outcomes.map((outcome, index) => {
        const task_id = items[index]?.task_id ?? "";
        return outcome.ok ? { task_id, ok: true } : { task_id, ok: false, code: outcome.problem.code };
      });
      return c.json({ results }, 200);
    },
  ),
];
