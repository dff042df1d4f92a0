/** Builders and handles for tests of the objects in workerd. */
import { runInDurableObject } from "cloudflare:test";
import { type DurableObject, env } from "cloudflare:workers";
import type { Registration } from "../../src/contract/agent.ts";
import type { Lock } from "../../src/contract/lock.ts";
import type { Outcome } from "../../src/contract/problem.ts";
import type { TaskSubmission } from "../../src/contract/task.ts";
import type { AgentGroup } from "../../src/objects/agent-group.ts";
import type { Coordinator } from "../../src/objects/coordinator.ts";
import type { Env } from "../../src/objects/env.ts";
import type { Remote } from "../../src/objects/rpc-types.ts";
import type { LockAnswer } from "../../src/services/agent-group/locks/lock-service.ts";

declare global {
  namespace Cloudflare {
    // The bindings of wrangler.toml, as the test runner provides them.
    interface Env extends ProductEnv {}
  }
}
type ProductEnv = Env;

/** The interface that callers use, and the one that the test runner needs. */
type Stub<Methods> = Remote<Methods> & DurableObjectStub;

/** Reads the state of the running instance. */
export function inside<Methods extends DurableObject, Result>(
  stub: Stub<Methods>,
  read: (instance: Methods, state: DurableObjectState) => Result | Promise<Result>,
): Promise<Result> {
  return runInDurableObject<Methods, Result>(stub as unknown as DurableObjectStub<Methods>, read);
}

let clusters = 0;

/** Each test has a cluster of its own. */
export function newCluster() {
  clusters += 1;
  const cluster = `cluster-${clusters}`;
  return {
    coordinator: env.COORDINATOR.getByName(cluster) as unknown as Stub<Coordinator>,
    group: (name: string) => env.AGENT_GROUP.getByName(`${cluster}/${name}`) as unknown as Stub<AgentGroup>,
  };
}

export function registration(overrides: Partial<Registration> = {}): Registration {
  return {
    type: "worker",
    capabilities: ["resize"],
    max_concurrent_tasks: 10,
    heartbeat_interval_seconds: 10,
    heartbeat_timeout_seconds: 30,
    labels: {},
    running_tasks: [],
    ...overrides,
  };
}

export function submission(overrides: Partial<TaskSubmission> = {}): TaskSubmission {
  return { type: "resize", priority: 5, ...overrides };
}

/** The value of an outcome that must be a success. */
export function good<Value>(outcome: Outcome<Value>): Value {
  if (!outcome.ok) throw new Error(`refused: ${outcome.problem.code}: ${outcome.problem.detail}`);
  return outcome.value;
}

/** The lock of an acquisition that must be granted at once. */
export function granted(outcome: Outcome<LockAnswer>): Lock {
  const { lock } = good(outcome);
  if (lock === null) throw new Error("queued, not granted");
  return lock;
}

/** The code of an outcome that must be a refusal. */
export function codeOf(outcome: Outcome<unknown>): string {
  if (outcome.ok) throw new Error("it was not refused");
  return outcome.problem.code;
}

/** Runs the group's alarm if it is due by the (faked) clock, as the platform would. @returns whether it ran */
export function runAlarmIfDue(group: Stub<AgentGroup>): Promise<boolean> {
  return inside(group, async (instance, state) => {
    const dueMs = await state.storage.getAlarm();
    if (dueMs === null || dueMs > Date.now()) return false;
    await state.storage.deleteAlarm();
    instance.alarm({ scheduledTime: dueMs, isRetry: false, retryCount: 0 });
    return true;
  });
}
