/**
 * Long polls of an agent for its tasks and its messages. The start of a poll is a sign of life. Its end is none, since the
 * agent may be gone by then.
 */
import type { Page } from "../../src/contract/common.ts";
import { agentOf } from "../../src/domain/principal.ts";
import { agentInGroup } from "../agents.ts";
import type { Context } from "../context.ts";
import { unwrap } from "../errors.ts";
import { groupOf } from "../object-stubs.ts";
import { longPoll } from "./long-poll.ts";

export type AgentPoll<Item> = {
  cluster: string;
  group: string;
  agent: string;
  waitSeconds: number;
  /** The topic that the group of the agent wakes when there is a new item. */
  topic: string;
  read: () => Promise<Page<Item>>;
};

/**
 * Answers as soon as there is an item, and at the latest after the heartbeat interval of the agent or half its timeout.
 * @throws Refused as `session_expired` as soon as the incarnation has ended
 */
export async function agentPoll<Item>(c: Context, poll: AgentPoll<Item>): Promise<Page<Item>> {
  const { cluster, group, agent, waitSeconds, topic, read } = poll;
  const caller = agentOf(c.get("principal"));
  if (caller === null) await agentInGroup(c, { cluster, group, agent });
  const object = () => groupOf(c.env, cluster, group);
  const { signal } = c.req.raw;
  // A poll of an operator says nothing about the agent.
  const life = caller === null ? null : unwrap(await object().signOfLife(caller));
  const limitMs = Math.min(waitSeconds * 1000, life?.pollLimitMs ?? Number.POSITIVE_INFINITY);
  const beforeReading = async () => {
    if (caller !== null) unwrap(await object().checkSession(caller));
  };
  const wait = { object, topic, limitMs, caller: signal, beforeReading };
  return longPoll(read, ({ items }) => items.length > 0, wait);
}
