/** Failures: the record of them, and reporting one that was seen elsewhere. */
import { FailureReport } from "../../src/contract/agent.ts";
import { PageQuery } from "../../src/contract/common.ts";
import { FailureAnswer, FailureFilter, FailurePage } from "../../src/contract/failure.ts";
import { Refused, unwrap } from "../errors.ts";
import { coordinatorOf, groupOf } from "../object-stubs.ts";
import { type Route, route } from "../route.ts";
import { answer, body, CLUSTER, page, params } from "../route-schemas.ts";

const tags = ["failures"];

export const failureRoutes: readonly Route[] = [
  route(
    {
      operationId: "listFailures",
      method: "get",
      path: `${CLUSTER}/failures`,
      summary: "List the recorded failures",
      description: "The newest failure is first.",
      tags,
      request: { params: params("cluster"), query: PageQuery.extend(FailureFilter.shape) },
      responses: { 200: answer("A page of failures.", FailurePage) },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      const { filter, limit, cursor } = page(c.req.valid("query"));
      return c.json(await coordinatorOf(c.env, cluster).failures(filter, limit, cursor), 200);
    },
  ),

  route(
    {
      operationId: "getFailure",
      method: "get",
      path: `${CLUSTER}/failures/{failure}`,
      summary: "Read a failure",
      tags,
      request: { params: params("cluster", "failure") },
      responses: { 200: answer("The failure.", FailureAnswer) },
    },
    async (c) => {
      const { cluster, failure } = c.req.valid("param");
      return c.json({ failure: unwrap(await coordinatorOf(c.env, cluster).failure(failure)) }, 200);
    },
  ),

  route(
    {
      operationId: "reportFailure",
      method: "post",
      path: `${CLUSTER}/agents/{agent}/failures`,
      summary: "Report the failure of an agent",
      description: "For a failure that was seen elsewhere. Failover of the agent starts at once.",
      tags: ["agents"],
      request: { params: params("cluster", "agent"), body: body(FailureReport) },
      responses: { 201: answer("The failure is recorded.", FailureAnswer) },
    },
    async (c) => {
      const { cluster, agent } = c.req.valid("param");
      const { group, status } = unwrap(await coordinatorOf(c.env, cluster).agent(agent));
      if (status === "inactive") {
        throw new Refused({ code: "invalid_transition", detail: "the agent is already inactive" });
      }
      const report = c.req.valid("json");
      const { failureId } = unwrap(await groupOf(c.env, cluster, group).reportFailure(agent, report));
      const failure = unwrap(await coordinatorOf(c.env, cluster).failure(failureId));
      return c.json({ failure }, 201);
    },
  ),
];
