/** Commands that end tasks or queue them again. */
import { InvalidRequestError, InvalidTransitionError, NotFoundError, type Task } from "../../index.ts";
import { type Command, CommandFailure, flag, text, UsageError, valued } from "../command.ts";
import { CODES } from "../exit-codes.ts";
import type { Printer } from "../printer.ts";
import { printTask } from "../task-text.ts";

const SEVERAL = `Prints one line for each task; with --json {"id", "task"} or {"id", "error"}. If a task is refused, the command
continues with the others and exits with 3.
`;

export const taskChangeCommands: readonly Command[] = [
  {
    name: "cancel",
    args: "TASK...",
    summary: "Cancel tasks",
    details: SEVERAL,
    examples: ["task1 task2"],
    run: ({ coordinator, words: ids, printer }) =>
      forEach(ids, (id) => coordinator.tasks.cancel(id), printer),
  },
  {
    name: "retry",
    args: "[TASK...]",
    summary: "Queue failed tasks again",
    details: SEVERAL,
    options: { all: flag("All failed tasks"), type: valued("T", "With --all: only tasks of this type") },
    examples: ["task1", "--all --type resize"],
    async run({ coordinator, words, options, printer }) {
      const isAll = options.all === true;
      if (isAll === words.length > 0) {
        throw new UsageError(isAll ? "use TASK or --all, not both" : "name a TASK, or use --all");
      }
      if (options.type !== undefined && !isAll) throw new UsageError("--type requires --all");
      const ids = [...words];
      if (isAll) {
        // The list is read to its end first, so that a task that fails again at once is not retried twice.
        const failed = { status: "failed", type: text(options.type), limit: 500 } as const;
        for await (const { id } of coordinator.tasks.list(failed)) ids.push(id);
        if (ids.length === 0 && !printer.isJson) printer.line("no failed tasks found");
      }
      await forEach(ids, (id) => coordinator.tasks.retry(id), printer);
    },
  },
];

/** Runs `act` on each task in order. @throws {CommandFailure} at the end, if some of several were refused */
async function forEach(
  ids: readonly string[],
  act: (id: string) => Promise<Task>,
  printer: Printer,
): Promise<void> {
  let refused = 0;
  for (const [at, id] of ids.entries()) {
    try {
      const task = await act(id);
      printer.show({ id, task }, () => printTask(task, printer));
    } catch (error) {
      if (!isOfThisTask(error)) {
        const left = ids.length - at - 1;
        if (left > 0) printer.warn(`stopped at ${id}; ${left} more not tried`);
        throw error;
      }
      const { evidence, code, status, detail, errors } = error;
      // A single refusal is printed like the refusal of any other command.
      printer.show({ id, error: { ...evidence, code, status, detail, errors } }, () => {
        if (ids.length > 1) printer.warn(`${id}: ${error.message}`);
      });
      if (ids.length === 1) throw error;
      refused += 1;
    }
  }
  if (refused > 0) throw new CommandFailure(`${refused} of ${ids.length} tasks refused`, CODES.refused);
}

/** A refusal that concerns this task only. */
const isOfThisTask = (error: unknown) =>
  error instanceof NotFoundError ||
  error instanceof InvalidTransitionError ||
  error instanceof InvalidRequestError;
