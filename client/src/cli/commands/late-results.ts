/** Commands for late results: list them, and accept one. */
import type { JsonValue, LateResult } from "../../index.ts";
import { type Command, number } from "../command.ts";
import { printTask } from "../task-text.ts";
import { clock } from "../time.ts";

/** Characters of a result that a table shows. */
const RESULT_CHARACTERS = 60;

export const lateResultCommands: readonly Command[] = [
  {
    name: "late-results",
    args: "TASK",
    summary: "List results of attempts that were no longer current",
    details: "The command accept completes the task with one of them. --json shows whole results.\n",
    examples: ["task1"],
    async run({ coordinator, words: [id = ""], printer }) {
      const kept: LateResult[] = [];
      for await (const late of coordinator.tasks.lateResults(id)) kept.push(late);
      printer.show(kept, () =>
        printer.table(
          ["ATTEMPT", "AGENT", "RECEIVED", "BYTES", "RESULT"],
          kept.map(({ attempt, agent_id, received_at, result }) => [
            attempt,
            agent_id,
            clock(received_at),
            Buffer.byteLength(JSON.stringify(result)),
            shortened(result),
          ]),
        ),
      );
    },
  },
  {
    name: "accept",
    args: "TASK ATTEMPT",
    summary: "Complete a task with a late result",
    details: "ATTEMPT is listed by late-results. The current attempt is revoked.\n",
    examples: ["task1 2"],
    async run({ coordinator, words: [id = "", word], printer }) {
      const attempt = number(word, "ATTEMPT") ?? 0;
      const task = await coordinator.tasks.acceptLateResult(id, attempt);
      printer.show(task, () => {
        printTask(task, printer);
        printer.line(shortened(task.result));
      });
    },
  },
];

function shortened(result: JsonValue): string {
  const whole = JSON.stringify(result);
  return whole.length > RESULT_CHARACTERS ? `${whole.slice(0, RESULT_CHARACTERS - 1)}…` : whole;
}
