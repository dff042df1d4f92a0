/** The command that shows what a failure of agents would do. */
import type { SimulatedFailover } from "../../index.ts";
import { type Command, list, problem, repeated, UsageError } from "../command.ts";
import { counted, type Printer } from "../printer.ts";

export const simulateCommands: readonly Command[] = [
  {
    name: "simulate",
    args: "[AGENT...]",
    summary: "Show what would happen if these agents failed now",
    details: "Nothing is changed. Exits with 7 if a task would be failed or left without an agent.\n",
    options: { group: repeated("G", "All live agents of this group") },
    examples: ["agent1 agent2", "--group eu"],
    async run({ coordinator, words: agents, options, printer }) {
      const groups = list(options.group);
      if (agents.length + groups.length === 0)
        throw new UsageError("name at least one agent, or use --group");
      const outcome = await coordinator.simulateFailover({ agents, groups });
      printer.show(outcome, () => show(outcome, agents, printer));
      const { failed, stranded } = outcome;
      if (failed.length + stranded.length > 0) {
        throw problem(`${failed.length} would be failed, ${stranded.length} would be without a live agent`);
      }
    },
  },
];

function show(outcome: SimulatedFailover, named: readonly string[], printer: Printer): void {
  const { tasks, locks_released, locks_released_count, load_after } = outcome;
  const live = new Set(outcome.agents.map(({ agent_id }) => agent_id));
  for (const id of named) if (!live.has(id)) printer.line(`${id} is inactive already`);
  if (tasks.length > 0) {
    printer.table(
      ["TASK", "FROM", "TO", "WHY"],
      tasks.map((task) => [
        task.task_id,
        task.from,
        destination(task),
        task.status === "failed"
          ? "reassigned as often as max_reassignment_attempts allows"
          : (task.decision?.explanation ?? "failover is off: the task stays with its agent"),
      ]),
    );
  }
  if (locks_released.length > 0) {
    printer.table(
      ["LOCK", "GROUP", "HOLDER", "NEXT HOLDER"],
      locks_released.map((lock) => [
        lock.resource,
        lock.group,
        lock.holder,
        lock.next_holder ?? "(no waiter)",
      ]),
    );
  }
  printer.line(
    `${counted(tasks.length, "task")} affected: ${tasks.filter(({ to }) => to !== null).length} reassigned, ${outcome.failed.length} failed, ${outcome.stranded.length} without a live agent; ${counted(locks_released_count, "lock")} released`,
  );
  for (const load of load_after)
    printer.line(`  ${load.agent_id} would have ${load.task_count} of ${load.max_concurrent_tasks} tasks`);
}

function destination({ to, status }: SimulatedFailover["tasks"][number]): string {
  if (status === "failed") return "(failed)";
  return to ?? "(no agent)";
}
