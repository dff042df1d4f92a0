/** The cluster as a whole: its status, and what would happen if agents failed. */
import { ClusterStatus } from "../../src/contract/cluster.ts";
import {
  FailoverSimulation,
  LOCKS_NAMED,
  Readiness,
  SimulatedFailover,
} from "../../src/contract/placement/failover-simulation.ts";
import { secretOf } from "../../src/objects/env.ts";
import { missingSecretWarnings } from "../../src/validation/configuration/missing-secrets.ts";
import { fieldErrors } from "../../src/validation/schema-issues.ts";
import { unwrap } from "../errors.ts";
import { coordinatorOf, groupOf } from "../object-stubs.ts";
import { type Route, route } from "../route.ts";
import { answer, body, CLUSTER, params } from "../route-schemas.ts";

const tags = ["cluster"];

export const clusterRoutes: readonly Route[] = [
  route(
    {
      operationId: "getStatus",
      method: "get",
      path: `${CLUSTER}/status`,
      summary: "Read the status of a cluster",
      tags,
      request: { params: params("cluster") },
      responses: { 200: answer("The status.", ClusterStatus) },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      const known = await coordinatorOf(c.env, cluster).status();
      const locked = await Promise.all(
        known.groups.map((group) => groupOf(c.env, cluster, group).lockedCount()),
      );
      return c.json({ ...known, locked_resources: locked.reduce((sum, count) => sum + count, 0) }, 200);
    },
  ),

  route(
    {
      operationId: "simulateFailover",
      method: "post",
      path: `${CLUSTER}/simulations/failover`,
      summary: "Simulate a failover",
      description: "The answer says what would happen if these agents failed now. Nothing is changed.",
      tags,
      request: { params: params("cluster"), body: body(FailoverSimulation) },
      responses: { 200: answer("What would happen.", SimulatedFailover) },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      const simulated = unwrap(await coordinatorOf(c.env, cluster).simulateFailover(c.req.valid("json")));
      const byGroup = Map.groupBy(simulated.agents, ({ group }) => group);
      const locks = await Promise.all(
        [...byGroup].map(([group, agents]) =>
          groupOf(c.env, cluster, group).locksReleasedByFailure(
            agents.map(({ agent_id }) => agent_id),
            LOCKS_NAMED,
          ),
        ),
      );
      return c.json(
        {
          ...simulated,
          locks_released: locks.flatMap(({ released }) => released).slice(0, LOCKS_NAMED),
          locks_released_count: locks.reduce((sum, { count }) => sum + count, 0),
        },
        200,
      );
    },
  ),

  route(
    {
      operationId: "getReadiness",
      method: "get",
      path: `${CLUSTER}/readiness`,
      summary: "Find single points of failure, and secrets that are not set",
      tags,
      request: { params: params("cluster") },
      responses: { 200: answer("The findings.", Readiness) },
    },
    async (c) => {
      const coordinator = coordinatorOf(c.env, c.req.valid("param").cluster);
      const [found, { config }] = await Promise.all([coordinator.readiness(), coordinator.config()]);
      // The redacted configuration still has the names of secrets.
      const missing = missingSecretWarnings(config, (name) => secretOf(c.env, name) !== null);
      return c.json({ ...found, configuration_warnings: fieldErrors(missing) }, 200);
    },
  ),
];
