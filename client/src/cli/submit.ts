/** The command that submits a task and can wait for its end. */
import { readFileSync } from "node:fs";
import { isFinished, type JsonValue, type TaskSubmission } from "../index.ts";
import {
  CODES,
  type Command,
  CommandFailure,
  keyValue,
  list,
  number,
  string,
  text,
  UsageError,
} from "./command.ts";

export const submitCommands: readonly Command[] = [
  {
    name: "submit",
    usage: "TYPE [--data JSON|@FILE]",
    summary: "Submit a task",
    help: `  --data JSON|@FILE  Data of the task; @- reads standard input
  --id ID            Id and idempotency key of the task (default: random)
  --priority N       0 to 10, higher is more urgent (default 5)
  --group G          Only agents of this group
  --label KEY=VALUE  Only agents with this label; repeatable
  --backup AGENT     Backup agent; repeatable, in order
  --timeout S        Seconds the task may take from its start
  --wait S           Wait up to S seconds for its end
`,
    arity: [1, 1],
    options: {
      ...{ data: string, id: string, priority: string, group: string, timeout: string, wait: string },
      label: { type: "string", multiple: true },
      backup: { type: "string", multiple: true },
    },
    async run({ coordinator, words: [type = ""], options, printer }) {
      const labels = list(options.label).map((pair) => keyValue(pair));
      const backups = list(options.backup);
      const task: TaskSubmission = {
        type,
        id: text(options.id),
        group: text(options.group),
        priority: number(options.priority, "--priority"),
        timeout_seconds: number(options.timeout, "--timeout"),
        ...(options.data === undefined ? {} : { data: parseData(String(options.data)) }),
        ...(labels.length === 0 ? {} : { required_labels: Object.fromEntries(labels) }),
        ...(backups.length === 0 ? {} : { backups }),
      };
      const waitSeconds = number(options.wait, "--wait");
      const placed = await coordinator.tasks.submit(task);
      if (waitSeconds === undefined) {
        printer.show(placed, () => {
          printer.line(placed.task.id, placed.task.status, placed.task.assigned_to ?? "");
          printer.line(placed.decision?.explanation ?? placed.task.pending_reason);
        });
        return;
      }
      const ended = await coordinator.tasks.wait(placed.task.id, { waitSeconds });
      printer.show(ended, () => {
        printer.line(ended.id, ended.status, ended.assigned_to);
        if (ended.pending_reason !== null) printer.line(ended.pending_reason);
        if (ended.status === "completed" || ended.error !== null)
          printer.line(JSON.stringify(ended.error ?? ended.result));
      });
      if (!isFinished(ended))
        throw new CommandFailure(`task ${ended.id} has not ended within ${waitSeconds} s`, CODES.unfinished);
      if (ended.status !== "completed")
        throw new CommandFailure(`task ${ended.id} ${ended.status}`, CODES.failedTask);
    },
  },
];

function parseData(given: string): JsonValue {
  try {
    return JSON.parse(
      given.startsWith("@") ? readFileSync(given === "@-" ? 0 : given.slice(1), "utf8") : given,
    );
  } catch (error) {
    throw new UsageError(`--data: ${error instanceof Error ? error.message : error}`);
  }
}
