/** Tasks: submission, what their holders report, and why they are where they are. */
import type { Context } from "hono";
import * as z from "zod";
import { Id, PageQuery } from "../../src/contract/common.ts";
import { Decision, DecisionPage } from "../../src/contract/decision.ts";
import { ErrorCode, type Outcome, ProblemBody } from "../../src/contract/problem.ts";
import {
  BackupAssignment,
  Placement,
  ResultBatch,
  type Task,
  TaskAnswer,
  TaskBatch,
  TaskCompletion,
  TaskFailure,
  TaskFilter,
  TaskPage,
  TaskProgress,
  Task as TaskSchema,
  TaskStart,
  TaskSubmission,
} from "../../src/contract/task.ts";
import { agentOf, type Principal } from "../../src/domain/principal.ts";
import { taskTopic } from "../../src/protocol/wake-topics.ts";
import { fieldErrors, schemaIssues } from "../../src/validation/schema-issues.ts";
import type { App, Vars } from "../app-types.ts";
import { problemItem, Refused, unwrap } from "../errors.ts";
import { readUntil } from "../long-poll.ts";
import { coordinatorOf } from "../object-stubs.ts";
import { answer, body, CLUSTER, operation, params, refuseOthers } from "../route-declaration.ts";

const TASK = `${CLUSTER}/tasks/{task}` as const;
const tags = ["tasks"];

const submit = operation({
  operationId: "submitTask",
  method: "post",
  path: `${CLUSTER}/tasks`,
  summary: "Submits a task; the answer says who got it and why, or that it waits.",
  tags,
  request: { params: params("cluster"), body: body(TaskSubmission) },
  responses: {
    200: answer("The same task was submitted before; this is how it stands.", Placement),
    201: answer("Accepted.", Placement),
  },
});

/** Either a placement or an error. */
const BatchItem = z.object({
  task: TaskSchema.optional(),
  decision: Decision.nullable().optional(),
  error: ProblemBody.omit({ request_id: true }).optional(),
});

const submitBatch = operation({
  operationId: "submitTasks",
  method: "post",
  path: `${CLUSTER}/tasks/batch`,
  summary: "Submits up to 1,000 tasks; each has its own result, in order.",
  tags,
  request: { params: params("cluster"), body: body(TaskBatch) },
  responses: { 200: answer("What became of each.", z.object({ results: z.array(BatchItem) })) },
});

const list = operation({
  operationId: "listTasks",
  method: "get",
  path: `${CLUSTER}/tasks`,
  summary: "The tasks of the cluster, newest first.",
  tags,
  request: { params: params("cluster"), query: PageQuery.extend(TaskFilter.shape) },
  responses: { 200: answer("A page of tasks.", TaskPage) },
});

const get = operation({
  operationId: "getTask",
  method: "get",
  path: TASK,
  summary: "One task; waits for its end if asked to.",
  tags,
  request: {
    params: params("cluster", "task"),
    query: z.strictObject({ wait_seconds: z.coerce.number().min(0).max(30).default(0) }),
  },
  responses: { 200: answer("The task.", TaskAnswer) },
});

const decisions = operation({
  operationId: "listDecisions",
  method: "get",
  path: `${TASK}/decisions`,
  summary: "Every placement decision of the task, oldest first.",
  tags,
  request: { params: params("cluster", "task"), query: PageQuery },
  responses: { 200: answer("A page of decisions.", DecisionPage) },
});

const task = { 200: answer("The task as it stands.", TaskAnswer) };

const start = operation({
  operationId: "startTask",
  method: "post",
  path: `${TASK}/start`,
  summary: "The holder starts: this is the permission to work.",
  tags,
  request: { params: params("cluster", "task"), body: body(TaskStart) },
  responses: task,
});

const progress = operation({
  operationId: "reportProgress",
  method: "post",
  path: `${TASK}/progress`,
  summary: "The holder gets on.",
  tags,
  request: { params: params("cluster", "task"), body: body(TaskProgress) },
  responses: task,
});

const complete = operation({
  operationId: "completeTask",
  method: "post",
  path: `${TASK}/complete`,
  summary: "The holder is done.",
  tags,
  request: { params: params("cluster", "task"), body: body(TaskCompletion) },
  responses: task,
});

const fail = operation({
  operationId: "failTask",
  method: "post",
  path: `${TASK}/fail`,
  summary: "The holder failed; tried again with back-off if it is retryable.",
  tags,
  request: { params: params("cluster", "task"), body: body(TaskFailure) },
  responses: task,
});

const ResultItem = z.object({ task_id: Id, ok: z.boolean(), code: ErrorCode.optional() });

const results = operation({
  operationId: "reportResults",
  method: "post",
  path: `${CLUSTER}/results`,
  summary: "Results and errors of up to 1,000 tasks.",
  tags,
  request: { params: params("cluster"), body: body(ResultBatch) },
  responses: { 200: answer("What became of each, in order.", z.object({ results: z.array(ResultItem) })) },
});

const cancel = operation({
  operationId: "cancelTask",
  method: "post",
  path: `${TASK}/cancel`,
  summary: "Cancels an unfinished task.",
  tags,
  request: { params: params("cluster", "task") },
  responses: task,
});

const retry = operation({
  operationId: "retryTask",
  method: "post",
  path: `${TASK}/retry`,
  summary: "Puts a failed task back in line; its counts start anew.",
  tags,
  request: { params: params("cluster", "task") },
  responses: task,
});

const setBackups = operation({
  operationId: "setBackups",
  method: "put",
  path: `${TASK}/backups`,
  summary: "Names the agents to fail over to, in order.",
  tags,
  request: { params: params("cluster", "task"), body: body(BackupAssignment) },
  responses: task,
});

export function taskRoutes(app: App): void {
  app.openapi(submit, async (c) => {
    const { cluster } = c.req.valid("param");
    const outcome = await coordinatorOf(c.env, cluster).submit(c.req.valid("json"));
    const { task, decision, isNew } = unwrap(outcome);
    return c.json({ task, decision }, isNew ? 201 : 200);
  });

  app.openapi(submitBatch, async (c) => {
    const { cluster } = c.req.valid("param");
    const parsed = c.req.valid("json").tasks.map((item) => TaskSubmission.safeParse(item));
    const valid = parsed.flatMap((item) => (item.success ? [item.data] : []));
    const outcomes = valid.length === 0 ? [] : await coordinatorOf(c.env, cluster).submitBatch(valid);
    const answered = outcomes.values();
    const batch = parsed.map((item): z.infer<typeof BatchItem> => {
      if (!item.success) {
        const errors = fieldErrors(schemaIssues(TaskSubmission, item.error));
        return { error: problemItem({ code: "invalid_request", detail: "the task is not valid", errors }) };
      }
      const outcome = answered.next().value;
      if (outcome === undefined) throw new Error("the coordinator answered fewer tasks than it was given");
      if (!outcome.ok) return { error: problemItem(outcome.problem) };
      return { task: outcome.value.task, decision: outcome.value.decision };
    });
    return c.json({ results: batch }, 200);
  });

  app.openapi(list, async (c) => {
    const { cluster } = c.req.valid("param");
    const { limit, cursor, ...filter } = c.req.valid("query");
    return c.json(await coordinatorOf(c.env, cluster).tasks(filter, limit, cursor ?? null), 200);
  });

  app.openapi(get, async (c) => {
    const { cluster, task: taskId } = c.req.valid("param");
    const { wait_seconds } = c.req.valid("query");
    const read = async () => visible(c, unwrap(await coordinatorOf(c.env, cluster).task(taskId)));
    const task = await readUntil(read, isAtEnd, {
      object: () => coordinatorOf(c.env, cluster),
      topic: taskTopic(taskId),
      limitMs: wait_seconds * 1000,
      caller: c.req.raw.signal,
    });
    return c.json({ task }, 200);
  });

  app.openapi(decisions, async (c) => {
    const { cluster, task: taskId } = c.req.valid("param");
    const { limit, cursor } = c.req.valid("query");
    return c.json(unwrap(await coordinatorOf(c.env, cluster).decisions(taskId, limit, cursor ?? null)), 200);
  });

  app.openapi(start, async (c) => {
    const { report, send } = reporting(c, c.req.valid("param"), c.req.valid("json"));
    return c.json(
      await send((coordinator, taskId, principal) => coordinator.start(taskId, report, principal)),
      200,
    );
  });

  app.openapi(progress, async (c) => {
    const { report, send } = reporting(c, c.req.valid("param"), c.req.valid("json"));
    return c.json(
      await send((coordinator, taskId, principal) => coordinator.progress(taskId, report, principal)),
      200,
    );
  });

  app.openapi(complete, async (c) => {
    const { report, send } = reporting(c, c.req.valid("param"), c.req.valid("json"));
    return c.json(
      await send((coordinator, taskId, principal) => coordinator.complete(taskId, report, principal)),
      200,
    );
  });

  app.openapi(fail, async (c) => {
    const { report, send } = reporting(c, c.req.valid("param"), c.req.valid("json"));
    return c.json(
      await send((coordinator, taskId, principal) => coordinator.fail(taskId, report, principal)),
      200,
    );
  });

  app.openapi(results, async (c) => {
    const { cluster } = c.req.valid("param");
    const items = c.req.valid("json").results;
    for (const item of items) refuseOthers(c, item.agent_id);
    const outcomes = await coordinatorOf(c.env, cluster).settleBatch(items, c.get("principal"));
    const answered = outcomes.map((outcome, index) => {
      const task_id = items[index]?.task_id ?? "";
      return outcome.ok ? { task_id, ok: true } : { task_id, ok: false, code: outcome.problem.code };
    });
    return c.json({ results: answered }, 200);
  });

  app.openapi(cancel, async (c) => {
    const { cluster, task: taskId } = c.req.valid("param");
    return c.json({ task: unwrap(await coordinatorOf(c.env, cluster).cancel(taskId)) }, 200);
  });

  app.openapi(retry, async (c) => {
    const { cluster, task: taskId } = c.req.valid("param");
    return c.json({ task: unwrap(await coordinatorOf(c.env, cluster).retry(taskId)) }, 200);
  });

  app.openapi(setBackups, async (c) => {
    const { cluster, task: taskId } = c.req.valid("param");
    const { backups } = c.req.valid("json");
    return c.json({ task: unwrap(await coordinatorOf(c.env, cluster).setBackups(taskId, backups)) }, 200);
  });
}

type Coordinator = ReturnType<typeof coordinatorOf>;

/** What the four reports of a holder have in common: who may send one, and in whose name. */
function reporting<Report extends { agent_id: string }>(
  c: Context<Vars>,
  { cluster, task: taskId }: { cluster: string; task: string },
  report: Report,
) {
  refuseOthers(c, report.agent_id);
  return {
    report,
    async send(
      call: (coordinator: Coordinator, taskId: string, principal: Principal) => Promise<Outcome<Task>>,
    ): Promise<{ task: Task }> {
      return { task: unwrap(await call(coordinatorOf(c.env, cluster), taskId, c.get("principal"))) };
    },
  };
}

/** An agent sees the tasks it holds, nothing of another's. */
function visible(c: Context<Vars>, task: Task): Task {
  const caller = agentOf(c.get("principal"));
  if (caller === null || task.assigned_to === caller.agentId) return task;
  throw new Refused({ code: "forbidden", detail: "an agent sees the tasks it holds, and no others" });
}

function isAtEnd({ status }: Task): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}
