/** Commands for agents: list, drain, resume. */
import { type Command, LIST_HELP, LIST_OPTIONS, listPage, number, string, UsageError } from "./command.ts";
import { clock } from "./printer.ts";

export const agentCommands: readonly Command[] = [
  {
    name: "agents",
    usage: "[--status S] [--group G]",
    summary: "List agents",
    help: `  --status S         active, suspect, draining or inactive\n  --group G          Only agents of this group\n${LIST_HELP}`,
    arity: [0, 0],
    options: { ...LIST_OPTIONS, status: string, group: string },
    async run({ coordinator, options, printer }) {
      const { items } = await listPage(options, (filter) => coordinator.agents.list(filter));
      printer.show(items, () =>
        printer.table(
          ["AGENT", "STATUS", "GROUP", "TASKS", "RELIABILITY", "LAST HEARTBEAT", "CAPABILITIES"],
          items.map((agent) => [
            agent.id,
            agent.status,
            agent.group,
            `${agent.task_count}/${agent.max_concurrent_tasks}`,
            agent.reliability.toFixed(2),
            clock(agent.last_heartbeat_at),
            agent.capabilities.join(","),
          ]),
        ),
      );
    },
  },
  {
    name: "drain",
    usage: "AGENT [--mode M] [--deadline S]",
    summary: "Drain an agent: it gets no new tasks",
    help: "  --mode M           finish (default) or move: reassign running tasks at once\n  --deadline S       Reassign tasks that still run after S seconds\n",
    arity: [1, 1],
    options: { mode: string, deadline: string },
    async run({ coordinator, words: [agent = ""], options, printer }) {
      const { mode } = options;
      if (mode !== undefined && mode !== "move" && mode !== "finish")
        throw new UsageError("--mode must be move or finish");
      const deadlineSeconds = number(options.deadline, "--deadline");
      const answered = await coordinator.agents.drain(agent, { mode, deadlineSeconds });
      printer.show(answered, () => printer.line(`${agent} draining`));
    },
  },
  {
    name: "resume",
    usage: "AGENT",
    summary: "End the drain of an agent: it gets tasks again",
    arity: [1, 1],
    options: {},
    async run({ coordinator, words: [agent = ""], printer }) {
      const answered = await coordinator.agents.resume(agent);
      printer.show(answered, () => printer.line(`${agent} resumed`));
    },
  },
];
