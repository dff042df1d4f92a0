/** The command that lists recorded failures. */
import { type Command, LIMIT, listPage, valued } from "../command.ts";
import { clock, instantOf } from "../time.ts";

export const failureCommands: readonly Command[] = [
  {
    name: "failures",
    summary: "List recorded failures",
    options: {
      since: valued("TIME", "Not older than this: 90s, 15m, 1h, 2d, or 2026-01-31T09:00:00Z"),
      until: valued("TIME", "Not newer than this"),
      agent: valued("A", "Only failures of this agent"),
      type: valued("T", "Only this failure_type, such as heartbeat_timeout"),
      "min-severity": valued("S", "info, warning, error or critical"),
      ...LIMIT,
    },
    examples: ["--since 1h", "--agent agent1 --min-severity error"],
    async run(call) {
      const { options, printer } = call;
      const filter = {
        since: instantOf(options.since, "--since"),
        until: instantOf(options.until, "--until"),
        agent_id: options.agent,
        failure_type: options.type,
        min_severity: options["min-severity"],
      } as object;
      const { items } = await listPage(call, (page) =>
        call.coordinator.failures.list({ ...filter, ...page }),
      );
      printer.show(items, () =>
        printer.table(
          ["AT", "SEVERITY", "TYPE", "AGENT", "REASSIGNED", "PENDING", "FAILED", "LOCKS", "MESSAGE"],
          items.map((failure) => [
            clock(failure.at),
            failure.severity,
            failure.failure_type,
            failure.agent_id,
            failure.tasks_reassigned,
            failure.tasks_pending,
            failure.tasks_failed,
            failure.locks_released.length,
            failure.message,
          ]),
        ),
      );
    },
  },
];
