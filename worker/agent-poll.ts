/** Long polls of what is there for an agent: how long they wait, and what they say of its life. */
import type { Context } from "hono";
import * as z from "zod";
import type { Page } from "../src/contract/common.ts";
import { agentOf } from "../src/domain/principal.ts";
import { agentIn } from "./agent-lookup.ts";
import type { Vars } from "./app-types.ts";
import { unwrap } from "./errors.ts";
import { readUntil } from "./long-poll.ts";
import { groupOf } from "./object-stubs.ts";

/** Longest wait of a long poll. */
const WAIT_LIMIT_SECONDS = 30;

export const WaitSeconds = z.coerce.number().min(0).max(WAIT_LIMIT_SECONDS).default(0);

export type Poll<Item> = {
  cluster: string;
  group: string;
  agent: string;
  waitSeconds: number;
  /** What the agent's group rings when there is something new. */
  topic: string;
  read: () => Promise<Page<Item>>;
};

/** Answers as soon as there is an item, at the latest after the agent's heartbeat interval. */
export async function poll<Item>(c: Context<Vars>, polled: Poll<Item>): Promise<Page<Item>> {
  const { cluster, group, agent, waitSeconds, topic, read } = polled;
  const caller = agentOf(c.get("principal"));
  if (caller === null) await agentIn(c, cluster, group, agent);
  const object = () => groupOf(c.env, cluster, group);
  const { signal } = c.req.raw;
  // A poll shows that the agent lives, at its start and at its end, unless it died while it waited; an
  // operator's look shows nothing.
  const sign = async () =>
    caller === null || signal.aborted ? null : unwrap(await object().signOfLife(caller));
  const life = await sign();
  const limitMs = Math.min(waitSeconds * 1000, life?.intervalMs ?? Number.POSITIVE_INFINITY);
  return readUntil(read, ({ items }) => items.length > 0, {
    object,
    topic,
    limitMs,
    caller: signal,
    woken: sign,
  });
}
