/** Submitting tasks, one or many. */
import * as z from "zod";
import { Decision } from "../../../src/contract/placement/decision.ts";
import { type Outcome, ProblemBody } from "../../../src/contract/problem.ts";
import { Placement, TaskBatch, Task as TaskSchema, TaskSubmission } from "../../../src/contract/task.ts";
import { fieldErrors, schemaIssues } from "../../../src/validation/schema-issues.ts";
import { problemItem, unwrap } from "../../errors.ts";
import { coordinatorOf } from "../../object-stubs.ts";
import { type Route, route } from "../../route.ts";
import { answer, body, CLUSTER, params } from "../../route-schemas.ts";

const tags = ["tasks"];

/** Either a placement or an error. */
const BatchItem = z.object({
  task: TaskSchema.optional(),
  decision: Decision.nullable().optional(),
  error: ProblemBody.omit({ request_id: true }).optional(),
});
type BatchItem = z.infer<typeof BatchItem>;

export const taskSubmissionRoutes: readonly Route[] = [
  route(
    {
      operationId: "submitTask",
      method: "post",
      path: `${CLUSTER}/tasks`,
      summary: "Submit a task",
      description:
        "The answer has the agent that got the task and the decision that explains it, or a pending task. Submitting the same id and content again changes nothing.",
      tags,
      request: { params: params("cluster"), body: body(TaskSubmission) },
      responses: {
        200: answer("This task was submitted before. The answer has its present state.", Placement),
        201: answer("The task is accepted.", Placement),
      },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      const outcome = await coordinatorOf(c.env, cluster).submit(c.req.valid("json"));
      const { task, decision, isNew } = unwrap(outcome);
      return c.json({ task, decision }, isNew ? 201 : 200);
    },
  ),

  route(
    {
      operationId: "submitTasks",
      method: "post",
      path: `${CLUSTER}/tasks/batch`,
      summary: "Submit up to 1,000 tasks",
      description: "Each task has its own result, and one that is refused does not affect the others.",
      tags,
      request: { params: params("cluster"), body: body(TaskBatch) },
      responses: {
        200: answer("One result for each task, in order.", z.object({ results: z.array(BatchItem) })),
      },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      const parsed = c.req.valid("json").tasks.map((item) => TaskSubmission.safeParse(item));
      const valid = parsed.flatMap((item) => (item.success ? [item.data] : []));
      const outcomes = valid.length === 0 ? [] : await coordinatorOf(c.env, cluster).submitBatch(valid);
      const answered = outcomes.values();
      const results = parsed.map((item): BatchItem => {
        if (!item.success) return { error: invalidTask(item.error) };
        const outcome = answered.next().value;
        if (outcome === undefined) throw new Error("the coordinator answered fewer tasks than it was given");
        return batchItem(outcome);
      });
      return c.json({ results }, 200);
    },
  ),
];

function invalidTask(error: z.ZodError) {
  const errors = fieldErrors(schemaIssues(TaskSubmission, error));
  return problemItem({ code: "invalid_request", detail: "the task is not valid; see errors", errors });
}

function batchItem(outcome: Outcome<Placement>): BatchItem {
  if (!outcome.ok) return { error: problemItem(outcome.problem) };
  return { task: outcome.value.task, decision: outcome.value.decision };
}
