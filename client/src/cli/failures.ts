/** The command that lists recorded failures. */
import { type Command, LIST_HELP, LIST_OPTIONS, listPage, string } from "./command.ts";
import { clock } from "./printer.ts";

export const failureCommands: readonly Command[] = [
  {
    name: "failures",
    usage: "[--agent A] [--min-severity S]",
    summary: "List recorded failures",
    help: `  --agent A          Only failures of this agent\n  --min-severity S   info, warning, error or critical\n${LIST_HELP}`,
    arity: [0, 0],
    options: { ...LIST_OPTIONS, agent: string, "min-severity": string },
    async run({ coordinator, options, printer }) {
      const wanted = { limit: options.limit, agent_id: options.agent, min_severity: options["min-severity"] };
      const { items } = await listPage(wanted, (filter) => coordinator.failures.list(filter));
      printer.show(items, () =>
        printer.table(
          ["AT", "SEVERITY", "TYPE", "AGENT", "REASSIGNED", "PENDING", "LOCKS", "MESSAGE"],
          items.map((failure) => [
            clock(failure.at),
            failure.severity,
            failure.failure_type,
            failure.agent_id,
            failure.tasks_reassigned,
            failure.tasks_pending,
            failure.locks_released.length,
            failure.message,
          ]),
        ),
      );
    },
  },
];
