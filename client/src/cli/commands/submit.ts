/** The command that submits a task and can wait for its end. */
import { readFileSync } from "node:fs";
import { isFinished, type JsonValue, type TaskSubmission } from "../../index.ts";
import {
  type Command,
  CommandFailure,
  keyValue,
  list,
  number,
  repeated,
  text,
  UsageError,
  valued,
} from "../command.ts";
import { CODES } from "../exit-codes.ts";
import { localTimes } from "../time.ts";

export const submitCommands: readonly Command[] = [
  {
    name: "submit",
    args: "TYPE",
    summary: "Submit a task",
    details: "TYPE is the capability that an agent needs for the task.\n",
    options: {
      data: valued("JSON|@FILE", "Data of the task; @- reads standard input"),
      id: valued("ID", "Id and idempotency key of the task (default: random)"),
      priority: valued("N", "0 to 10, higher is more urgent (default 5)"),
      group: valued("G", "Only agents of this group"),
      label: repeated("KEY=VALUE", "Only agents with this label"),
      backup: repeated("AGENT", "Backup agent, in order"),
      timeout: valued("S", "Seconds the task may take from its start"),
      wait: valued("S", "Wait up to S seconds for its end"),
    },
    examples: [`resize --data '{"width": 80}'`, "resize --id task1 --wait 60"],
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
          printer.line(localTimes(placed.task.pending_reason) ?? placed.decision?.explanation);
        });
        return;
      }
      const ended = await coordinator.tasks.wait(placed.task.id, { waitSeconds });
      printer.show(ended, () => {
        printer.line(ended.id, ended.status, ended.assigned_to);
        if (ended.pending_reason !== null) printer.line(localTimes(ended.pending_reason));
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
