/** Long polls of an agent for its tasks and its messages, which are also signs of life. */
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

/** Answers as soon as there is an item, and at the latest after the heartbeat interval of the agent. */
export async function agentPoll<Item>(c: Context, poll: AgentPoll<Item>): Promise<Page<Item>> {
  const { cluster, group, agent, waitSeconds, topic, read } = poll;
  const caller = agentOf(c.get("principal"));
  if (caller === null) await agentInGroup(c, { cluster, group, agent });
  const object = () => groupOf(c.env, cluster, group);
  const { signal } = c.req.raw;
  // The agent was alive when it sent the poll. At the end it may be gone, and then its request is aborted. A poll of
  // an operator says nothing about the agent.
  const sendSignOfLife = async () =>
    caller === null || signal.aborted ? null : unwrap(await object().signOfLife(caller));
  const life = await sendSignOfLife();
  const limitMs = Math.min(waitSeconds * 1000, life?.intervalMs ?? Number.POSITIVE_INFINITY);
  const wait = { object, topic, limitMs, caller: signal, beforeReading: sendSignOfLife };
  return longPoll(read, ({ items }) => items.length > 0, wait);
}
