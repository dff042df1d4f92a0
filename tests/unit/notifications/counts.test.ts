/** The channels without a receiver of their own, the log and the agents' mailboxes: their counts agree with their text. */
import { expect, it } from "vitest";
import { defaultConfig } from "../../../src/contract/config.ts";
import type { ChannelTools } from "../../../src/notifications/channel.ts";
import { counts } from "../../../src/notifications/incident-summary.ts";
import { logChannel } from "../../../src/notifications/log-channel.ts";
import { systemChannel } from "../../../src/notifications/system-channel.ts";
import { entryWith, incidentWith, noticeWith } from "../../support/notices.ts";

const ofTask = {
  task_id: "task-1",
  failure_type: "task_failure",
  tasks_reassigned: 0,
  tasks_pending: 0,
  locks_released: 0,
};

it.each([
  { what: "a failed task", entries: [entryWith(ofTask)], text: "1 task failed", failed: 1 },
  {
    what: "a task that was given up",
    entries: [entryWith({ ...ofTask, tasks_failed: 1 })],
    text: "1 task failed",
    failed: 1,
  },
  {
    what: "tasks that were given up with their agent",
    entries: [entryWith({ tasks_failed: 3 })],
    text: "3 tasks given up",
    failed: 3,
  },
])("$what is counted as the text says", async ({ entries, text, failed }) => {
  const incident = incidentWith({ entries });
  const notice = noticeWith({ incidents: [incidentWith({ entries, summary: counts(incident) })] });
  const sent: unknown[] = [];
  const tools = {
    config: defaultConfig(),
    broadcast: ({ content }: { content: unknown }) => void sent.push(content),
    log: { line: (_level: string, _event: string, fields: unknown) => void sent.push(fields) },
  } as unknown as ChannelTools;

  await systemChannel.deliver(notice, tools);
  await logChannel.deliver(notice, tools);

  expect(sent).toMatchObject([
    { incidents: [{ summary: expect.stringContaining(text), tasks_failed: failed }] },
    { tasks_failed: failed },
  ]);
});
