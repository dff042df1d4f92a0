/** Agents in the queue of one lock, for tests of waiting. */
import { type Lock, LockAnswer } from "../../src/contract/lock.ts";
import type { CheckedCluster, TestAgent } from "./checked-cluster.ts";
import { until } from "./until.ts";

/** Waits until exactly these agents wait for a lock, in this order. */
export async function waitersOnce(
  cluster: CheckedCluster,
  resource: string,
  ids: readonly string[],
): Promise<void> {
  await until(async () => {
    const answer = await cluster.get(`/groups/default/locks/${resource}`);
    if (answer.status !== 200) return false;
    const { waiters } = answer.as(200, LockAnswer).lock;
    return waiters.length === ids.length && ids.every((id, index) => waiters[index] === id);
  }, `${ids.length} to wait for ${resource}`);
}

/** `a0` holds the lock `disk`; `a1` and `a2` may wait for it. */
export async function holderAndWaiters(
  cluster: CheckedCluster,
): Promise<{ holder: TestAgent; first: TestAgent; second: TestAgent; held: Lock }> {
  const holder = await cluster.register("a0");
  const first = await cluster.register("a1");
  const second = await cluster.register("a2");
  return { holder, first, second, held: await holder.acquire("disk", { ttl_seconds: 600 }) };
}
