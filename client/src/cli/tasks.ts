/** Commands for tasks that exist: list, cancel, retry, late results. */
import {
  InvalidRequestError,
  InvalidTransitionError,
  type JsonValue,
  type LateResult,
  NotFoundError,
  type Task,
} from "../index.ts";
import {
  ANY,
  CODES,
  type Command,
  CommandFailure,
  LIST_HELP,
  LIST_OPTIONS,
  listPage,
  number,
  string,
  text,
  UsageError,
} from "./command.ts";
import { clock, type Printer } from "./printer.ts";

const SEVERAL_HELP = `  Prints one line for each task; with --json {"id", "task"} or {"id", "error"}. If a task is refused, the command
  continues with the others and exits with 3.
`;

/** Characters of a result that a table shows. */
const RESULT_CHARACTERS = 60;

export const taskCommands: readonly Command[] = [
  {
    name: "tasks",
    usage: "[--status S] [--type T] [--agent A]",
    summary: "List tasks",
    help: `  --status S         pending, assigned, running, completed, failed or cancelled\n  --type T           Only tasks of this type\n  --agent A          Only tasks held by this agent\n${LIST_HELP}`,
    arity: [0, 0],
    options: { ...LIST_OPTIONS, status: string, type: string, agent: string },
    async run({ coordinator, options: { agent, ...options }, printer }) {
      const wanted = { ...options, assigned_to: agent };
      const { items } = await listPage(wanted, (filter) => coordinator.tasks.list(filter));
      printer.show(items, () =>
        printer.table(
          ["TASK", "TYPE", "STATUS", "PRIORITY", "AGENT", "ATTEMPT", "CREATED", "NOTE"],
          items.map((task) => [
            task.id,
            task.type,
            task.status,
            task.priority,
            task.assigned_to,
            task.attempt,
            clock(task.created_at),
            task.error?.message ?? task.pending_reason,
          ]),
        ),
      );
    },
  },
  {
    name: "cancel",
    usage: "TASK...",
    summary: "Cancel tasks",
    help: SEVERAL_HELP,
    arity: [1, ANY],
    options: {},
    run: ({ coordinator, words: ids, printer }) =>
      forEach(ids, (id) => coordinator.tasks.cancel(id), printer),
  },
  {
    name: "retry",
    usage: "TASK... | --all [--type T]",
    summary: "Queue failed tasks again",
    help: `  --all              All failed tasks\n  --type T           With --all: only tasks of this type\n${SEVERAL_HELP}`,
    arity: [0, ANY],
    options: { all: { type: "boolean" }, type: string },
    async run({ coordinator, words, options, printer }) {
      const isAll = options.all === true;
      if (isAll === words.length > 0) throw new UsageError("name tasks, or use --all, not both");
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
  {
    name: "late-results",
    usage: "TASK",
    summary: "List results of attempts that were no longer current",
    help: "  `accept TASK ATTEMPT` completes the task with one of them. --json shows whole results.\n",
    arity: [1, 1],
    options: {},
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
    usage: "TASK ATTEMPT",
    summary: "Complete a task with a late result",
    help: "  ATTEMPT            An attempt listed by late-results. The current attempt is revoked.\n",
    arity: [2, 2],
    options: {},
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

function printTask({ id, status, assigned_to, pending_reason }: Task, printer: Printer): void {
  printer.line(id, status, assigned_to, ...(pending_reason === null ? [] : [pending_reason]));
}

function shortened(result: JsonValue): string {
  const whole = JSON.stringify(result);
  return whole.length > RESULT_CHARACTERS ? `${whole.slice(0, RESULT_CHARACTERS - 1)}…` : whole;
}
