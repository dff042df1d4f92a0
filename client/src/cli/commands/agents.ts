/** Commands for agents: list, drain, resume, unregister. */
import { type Command, LIMIT, listPage, number, UsageError, valued } from "../command.ts";
import { clock } from "../time.ts";

export const agentCommands: readonly Command[] = [
  {
    name: "agents",
    summary: "List agents",
    options: {
      status: valued("S", "active, suspect, draining or inactive"),
      group: valued("G", "Only agents of this group"),
      capability: valued("C", "Only agents that can do this task type"),
      ...LIMIT,
    },
    examples: ["", "--status inactive --group eu"],
    async run(call) {
      const { status, group, capability } = call.options;
      const filter = { status, group, capability } as object;
      const { items } = await listPage(call, (page) => call.coordinator.agents.list({ ...filter, ...page }));
      call.printer.show(items, () =>
        call.printer.table(
          ["AGENT", "STATUS", "GROUP", "TASKS", "RELIABILITY", "FAILURES", "LAST HEARTBEAT", "CAPABILITIES"],
          items.map((agent) => [
            agent.id,
            agent.status,
            agent.group,
            `${agent.task_count}/${agent.max_concurrent_tasks}`,
            agent.reliability.toFixed(2),
            agent.failure_count,
            clock(agent.last_heartbeat_at),
            agent.capabilities.join(","),
          ]),
        ),
      );
    },
  },
  {
    name: "drain",
    args: "AGENT",
    summary: "Drain an agent: it gets no new tasks",
    options: {
      mode: valued("M", "finish (default), or move: reassign running tasks at once"),
      deadline: valued("S", "Reassign tasks that still run after S seconds"),
    },
    examples: ["agent1 --deadline 600", "agent1 --mode move"],
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
    args: "AGENT",
    summary: "End the drain of an agent: it gets tasks again",
    examples: ["agent1"],
    async run({ coordinator, words: [agent = ""], printer }) {
      const answered = await coordinator.agents.resume(agent);
      printer.show(answered, () => printer.line(`${agent} resumed`));
    },
  },
  {
    name: "unregister",
    args: "AGENT",
    summary: "Remove an agent: its tasks are reassigned, its locks released",
    details:
      "No failure is recorded. The process of the agent is not stopped: stop it first, or it registers again.\n",
    examples: ["agent1"],
    async run({ coordinator, words: [id = ""], printer }) {
      await coordinator.agents.unregister(id);
      printer.show({ id }, () => printer.line(`${id} unregistered`));
    },
  },
];
