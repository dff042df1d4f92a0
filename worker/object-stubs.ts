/** The objects of a cluster, by name. Each call makes a new stub, because a stub that has failed stays broken. */
import type { AgentGroup } from "../src/objects/agent-group.ts";
import type { Coordinator } from "../src/objects/coordinator.ts";
import type { Env } from "../src/objects/env.ts";
import type { Notifier } from "../src/objects/notifier.ts";
import { groupName } from "../src/objects/object-names.ts";
import type { Remote } from "../src/objects/rpc-types.ts";
import type { Context } from "./context.ts";

export function coordinatorOf(env: Env, cluster: string): Remote<Coordinator> {
  return env.COORDINATOR.getByName(cluster) as unknown as Remote<Coordinator>;
}

export function groupOf(env: Env, cluster: string, group: string): Remote<AgentGroup> {
  return env.AGENT_GROUP.getByName(groupName(cluster, group)) as unknown as Remote<AgentGroup>;
}

export function notifierOf(env: Env, cluster: string): Remote<Notifier> {
  return env.NOTIFIER.getByName(cluster) as unknown as Remote<Notifier>;
}

/** Calls an object without waiting for its answer. Only for calls that may be lost. */
export function inBackground(c: Context, call: () => Promise<unknown>): void {
  c.executionCtx.waitUntil(
    call().catch(() => {
      // The caller repeats what matters: heartbeats, reads and reports.
    }),
  );
}
