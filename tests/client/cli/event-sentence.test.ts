/** Events as sentences. */
import { expect, it, vi } from "vitest";
import { sentenceOf } from "../../../client/src/cli/event-sentence.ts";

const event = (type: string, subject: string, data: Record<string, never | string | number | null>) => ({
  ...{ id: 1, at: "2026-01-31T09:00:00.000Z", type, subject, data },
});

it.each([
  ["task.assigned", "task1", { agent_id: "agent1", attempt: 2 }, "task task1 assigned to agent1, attempt 2"],
  [
    "agent.inactive",
    "agent1",
    { failure_type: "heartbeat_timeout" },
    "agent agent1 failed: heartbeat_timeout",
  ],
  ["task.failed", "task1", { agent_id: null, attempt: 0 }, "task task1 failed, last attempt 0 by none"],
  [
    "agent.suspect",
    "agent1",
    { until: "2026-01-31T09:00:05.000Z" },
    "the connection of agent agent1 broke: it is declared failed at 2026-01-31 09:00:05Z unless it comes back",
  ],
  ["moon.full", "tonight", { a: 1 }, 'moon.full tonight {"a":1}'],
])("%s", (type, subject, data, sentence) => {
  vi.stubEnv("TZ", "UTC");
  expect(sentenceOf(event(type, subject, data))).toBe(sentence);
  vi.unstubAllEnvs();
});
