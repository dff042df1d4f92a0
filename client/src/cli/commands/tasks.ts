/** The command that lists tasks. */
import { type Command, flag, LIMIT, listPage, UsageError, valued } from "../command.ts";
import { percent } from "../task-text.ts";
import { age, localTimes } from "../time.ts";
import { showStuck } from "./stuck-tasks.ts";

export const taskCommands: readonly Command[] = [
  {
    name: "tasks",
    summary: "List tasks, or those that are stuck, with the reason",
    options: {
      status: valued("S", "pending, assigned, running, completed, failed or cancelled"),
      type: valued("T", "Only tasks of this type"),
      agent: valued("A", "Only tasks held by this agent"),
      stuck: flag("Tasks that wait or make no progress, oldest first"),
      for: valued("TIME", "With --stuck: without a start or progress for so long (default 5m)"),
      ...LIMIT,
    },
    examples: ["--status running --agent agent1", "--stuck --for 10m"],
    async run(call) {
      const { status, type, agent, stuck } = call.options;
      if (stuck === true) {
        if (status !== undefined) throw new UsageError("use --stuck or --status, not both");
        await showStuck(call);
        return;
      }
      if (call.options.for !== undefined) throw new UsageError("--for requires --stuck");
      const filter = { status, type, assigned_to: agent } as object;
      const { items } = await listPage(call, (page) => call.coordinator.tasks.list({ ...filter, ...page }));
      call.printer.show(items, () =>
        call.printer.table(
          ["TASK", "TYPE", "STATUS", "PRIORITY", "AGENT", "ATTEMPT", "AGE", "PROGRESS", "NOTE"],
          items.map((task) => [
            task.id,
            task.type,
            task.status,
            task.priority,
            task.assigned_to,
            task.attempt,
            age(task.created_at),
            percent(task),
            localTimes(task.pending_reason ?? task.error?.message),
          ]),
        ),
      );
    },
  },
];
