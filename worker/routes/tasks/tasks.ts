/** Reading tasks, and what operators do with them. */
import * as z from "zod";
import { PageQuery } from "../../../src/contract/common.ts";
import { DecisionPage } from "../../../src/contract/placement/decision.ts";
import { BackupAssignment, type Task, TaskAnswer, TaskFilter, TaskPage } from "../../../src/contract/task.ts";
import { agentOf } from "../../../src/domain/principal.ts";
import { isFinished } from "../../../src/domain/task.ts";
import { taskTopic } from "../../../src/protocol/wake-topics.ts";
import type { Context } from "../../context.ts";
import { Refused, unwrap } from "../../errors.ts";
import { longPoll, WaitSeconds } from "../../long-poll/long-poll.ts";
import { coordinatorOf } from "../../object-stubs.ts";
import { type Route, route } from "../../route.ts";
import { answer, body, CLUSTER, page, params } from "../../route-schemas.ts";

const TASK = `${CLUSTER}/tasks/{task}` as const;
const tags = ["tasks"];
const changed = { 200: answer("The task after the change.", TaskAnswer) };

export const taskRoutes: readonly Route[] = [
  route(
    {
      operationId: "listTasks",
      method: "get",
      path: `${CLUSTER}/tasks`,
      summary: "List the tasks of a cluster",
      description: "The newest task is first.",
      tags,
      request: { params: params("cluster"), query: PageQuery.extend(TaskFilter.shape) },
      responses: { 200: answer("A page of tasks.", TaskPage) },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      const { filter, limit, cursor } = page(c.req.valid("query"));
      return c.json(await coordinatorOf(c.env, cluster).tasks(filter, limit, cursor), 200);
    },
  ),

  route(
    {
      operationId: "getTask",
      method: "get",
      path: TASK,
      summary: "Read a task",
      description:
        "With `wait_seconds` the answer waits until the task has ended. An agent may read the tasks that it holds.",
      tags,
      request: {
        params: params("cluster", "task"),
        query: z.strictObject({ wait_seconds: WaitSeconds }),
      },
      responses: { 200: answer("The task.", TaskAnswer) },
    },
    async (c) => {
      const { cluster, task: taskId } = c.req.valid("param");
      const { wait_seconds } = c.req.valid("query");
      const read = async () => visible(c, unwrap(await coordinatorOf(c.env, cluster).task(taskId)));
      const task = await longPoll(read, ({ status }) => isFinished(status), {
        object: () => coordinatorOf(c.env, cluster),
        topic: taskTopic(taskId),
        limitMs: wait_seconds * 1000,
        caller: c.req.raw.signal,
      });
      return c.json({ task }, 200);
    },
  ),

  route(
    {
      operationId: "listDecisions",
      method: "get",
      path: `${TASK}/decisions`,
      summary: "List the placement decisions of a task",
      description:
        "Each decision explains why the task went to an agent or stayed pending. The oldest is first.",
      tags,
      request: { params: params("cluster", "task"), query: PageQuery },
      responses: { 200: answer("A page of decisions.", DecisionPage) },
    },
    async (c) => {
      const { cluster, task } = c.req.valid("param");
      const { limit, cursor } = page(c.req.valid("query"));
      return c.json(unwrap(await coordinatorOf(c.env, cluster).decisions(task, limit, cursor)), 200);
    },
  ),

  route(
    {
      operationId: "cancelTask",
      method: "post",
      path: `${TASK}/cancel`,
      summary: "Cancel an unfinished task",
      tags,
      request: { params: params("cluster", "task") },
      responses: changed,
    },
    async (c) => {
      const { cluster, task } = c.req.valid("param");
      return c.json({ task: unwrap(await coordinatorOf(c.env, cluster).cancel(task)) }, 200);
    },
  ),

  route(
    {
      operationId: "retryTask",
      method: "post",
      path: `${TASK}/retry`,
      summary: "Retry a failed task",
      description:
        "The task is queued again. Its count of reassignments and its previous agents are cleared.",
      tags,
      request: { params: params("cluster", "task") },
      responses: changed,
    },
    async (c) => {
      const { cluster, task } = c.req.valid("param");
      return c.json({ task: unwrap(await coordinatorOf(c.env, cluster).retry(task)) }, 200);
    },
  ),

  route(
    {
      operationId: "setBackups",
      method: "put",
      path: `${TASK}/backups`,
      summary: "Set the backup agents of a task",
      description: "Failover tries these agents in this order.",
      tags,
      request: { params: params("cluster", "task"), body: body(BackupAssignment) },
      responses: changed,
    },
    async (c) => {
      const { cluster, task } = c.req.valid("param");
      const { backups } = c.req.valid("json");
      return c.json({ task: unwrap(await coordinatorOf(c.env, cluster).setBackups(task, backups)) }, 200);
    },
  ),
];

/** An agent may read the tasks that it holds, and no others. */
function visible(c: Context, task: Task): Task {
  const caller = agentOf(c.get("principal"));
  if (caller === null || task.assigned_to === caller.agentId) return task;
  throw new Refused({ code: "forbidden", detail: "an agent may read only the tasks that it holds" });
}
