/**
 * The objects of a cluster, by name. A fresh stub each time: one that has failed stays
 * broken. What they answer is plain data, so their methods are seen here as simply asynchronous.
 */
import type { AgentGroup } from "../src/objects/agent-group.ts";
import type { Coordinator } from "../src/objects/coordinator.ts";
import type { Env } from "../src/objects/env.ts";
import { groupName } from "../src/objects/names.ts";
import type { Notifier } from "../src/objects/notifier.ts";

type Remote<Shell> = {
  [Method in Exclude<keyof Shell, "fetch" | "alarm" | "webSocketClose">]: Shell[Method] extends (
    ...args: infer Args
  ) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
} & { fetch(url: string, init: RequestInit): Promise<Response> };

export function coordinatorOf(env: Env, cluster: string): Remote<Coordinator> {
  return env.COORDINATOR.getByName(cluster) as unknown as Remote<Coordinator>;
}

export function groupOf(env: Env, cluster: string, group: string): Remote<AgentGroup> {
  return env.AGENT_GROUP.getByName(groupName(cluster, group)) as unknown as Remote<AgentGroup>;
}

export function notifierOf(env: Env, cluster: string): Remote<Notifier> {
  return env.NOTIFIER.getByName(cluster) as unknown as Remote<Notifier>;
}
