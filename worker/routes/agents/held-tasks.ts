/** The tasks that an agent holds. */
import * as z from "zod";
import { PageQuery } from "../../../src/contract/common.ts";
import { TASK_STATUSES, TaskPage, TaskStatus } from "../../../src/contract/task.ts";
import { agentTopic } from "../../../src/protocol/wake-topics.ts";
import { agentPoll } from "../../long-poll/agent-poll.ts";
import { WaitSeconds } from "../../long-poll/long-poll.ts";
import { coordinatorOf, groupOf, inBackground } from "../../object-stubs.ts";
import { type Route, route } from "../../route.ts";
import { answer, GROUP, page, params } from "../../route-schemas.ts";

const HeldTasksQuery = PageQuery.extend({
  // These tasks are in the order of urgency, so their cursor is a position in that order.
  cursor: z
    .string()
    .regex(/^-?\d{1,17}(\.\d{1,17})?:\d{1,15}$/, "must be the `next_cursor` of an earlier page")
    .optional(),
  status: z
    .string()
    .max(64)
    .default("assigned")
    .transform((list) => list.split(","))
    .pipe(z.array(TaskStatus).max(TASK_STATUSES.length))
    .meta({ description: "One or more statuses, separated by commas." }),
  wait_seconds: WaitSeconds,
});

export const heldTaskRoutes: readonly Route[] = [
  route(
    {
      operationId: "listHeldTasks",
      method: "get",
      path: `${GROUP}/agents/{agent}/tasks`,
      summary: "List the tasks that an agent holds",
      description:
        "The most urgent task is first. With `wait_seconds` the answer waits until there is a task, at most for the heartbeat interval of the agent.",
      tags: ["agents"],
      request: { params: params("cluster", "group", "agent"), query: HeldTasksQuery },
      responses: { 200: answer("A page of tasks.", TaskPage) },
    },
    async (c) => {
      const { cluster, group, agent } = c.req.valid("param");
      const { limit, cursor, filter } = page(c.req.valid("query"));
      const { status: statuses, wait_seconds: waitSeconds } = filter;
      const principal = c.get("principal");
      const read = async () => {
        const query = { statuses, limit, cursor };
        const found = await coordinatorOf(c.env, cluster).tasksOf(agent, query, principal);
        if (principal.role === "agent" && statuses.includes("assigned")) {
          const unstarted = found.items.filter((task) => task.status === "assigned").length;
          inBackground(c, () => groupOf(c.env, cluster, group).recordTaskListRead(agent, unstarted));
        }
        return found;
      };
      const topic = agentTopic(agent);
      return c.json(await agentPoll(c, { cluster, group, agent, waitSeconds, topic, read }), 200);
    },
  ),
];
