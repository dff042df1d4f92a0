/** Failures that are notified, and the deliveries of each notification. */
import { type Failure, FailureAnswer } from "../../src/contract/failure.ts";
import type { Notification } from "../../src/contract/notification.ts";
import type { CheckedCluster } from "./checked-cluster.ts";
import { until } from "./until.ts";

/** Registers an agent and reports its failure. */
export async function fail(cluster: CheckedCluster, agentId: string): Promise<Failure> {
  await cluster.register(agentId);
  const reported = await cluster.post(`/agents/${agentId}/failures`, { failure_type: "reported" });
  return reported.as(201, FailureAnswer).failure;
}

/** The newest notification of a failure, once it has this state and so many tries. */
export const messageOnce = (
  cluster: CheckedCluster,
  { id }: Failure,
  state: Notification["state"],
  tries = 0,
): Promise<Notification> =>
  until(async () => {
    const [message] = (await cluster.notifications({ failure_id: id })).items;
    return message?.state === state && message.tries.length >= tries && message;
  }, `a message to be ${state}`);

/** How long each attempt took, in milliseconds. */
export const durationsOf = ({ tries }: Notification): number[] =>
  tries.map(({ duration_seconds }) => 1000 * duration_seconds);
