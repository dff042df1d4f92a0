/** Commands for the cluster as a whole: status, watch, readiness, simulate. */
import { ANY, type Command, list, number, string, UsageError } from "./command.ts";
import { clock } from "./printer.ts";

export const clusterCommands: readonly Command[] = [
  {
    name: "status",
    usage: "",
    summary: "Show the state of the cluster",
    arity: [0, 0],
    options: {},
    async run({ coordinator, cluster, printer }) {
      const status = await coordinator.getClusterStatus();
      printer.show(status, () => {
        const isUntouched =
          status.total_agents === 0 && Object.values(status.tasks).every((count) => count === 0);
        if (isUntouched)
          printer.line(
            `cluster ${cluster} is empty: no agents and no tasks. Check --cluster if you expected some.`,
          );
        const counts = (of: Record<string, number>) =>
          Object.entries(of)
            .map(([name, count]) => `${count} ${name}`)
            .join(", ");
        printer.line("agents  ", counts(status.agents_by_status));
        printer.line("tasks   ", counts(status.tasks));
        printer.line("locks   ", status.locked_resources);
        printer.line("failures", `${status.failure_count} in the last 24 hours`);
        printer.line("strategy", status.strategy);
        if (status.safe_mode.active)
          printer.line(`safe mode until ${clock(status.safe_mode.until)}:`, status.safe_mode.reason);
        for (const { at, severity, message } of status.recent_failures.slice(0, 5)) {
          printer.line(`  ${clock(at)}`, severity, message);
        }
      });
    },
  },
  {
    name: "watch",
    usage: "[--after ID]",
    summary: "Follow the event stream",
    help: "  --after ID         Start after this event; 0: all stored\n",
    arity: [0, 0],
    options: { after: string },
    async run({ coordinator, options, printer }) {
      // The stream reconnects silently, so an unreachable server is reported here.
      coordinator.getClusterStatus({ timeoutSeconds: 5 }).catch((error: Error & { status?: number }) => {
        if ((error.status ?? 500) >= 500)
          printer.warn(`${error.message}; retrying until the server responds`);
      });
      for await (const event of coordinator.events({ after: number(options.after, "--after") })) {
        printer.show(event, () =>
          printer.line(
            event.at.slice(11, 23),
            event.type.padEnd(20),
            event.subject.padEnd(16),
            JSON.stringify(event.data),
          ),
        );
      }
    },
  },
  {
    name: "readiness",
    usage: "",
    summary: "Show single points of failure",
    arity: [0, 0],
    options: {},
    async run({ coordinator, printer }) {
      const found = await coordinator.readiness();
      printer.show(found, () => {
        printer.line(found.ready ? "no single point of failure found" : "not ready:");
        for (const { capability, agent_id } of found.single_capabilities)
          printer.line(`  only ${agent_id} has the capability ${capability}`);
        const { count, task_ids } = found.tasks_without_backup;
        if (count > 0) printer.line(`  ${count} tasks have no live backup: ${task_ids.join(", ")}`);
        for (const { agent_id, detail } of found.critical_agents_without_backup)
          printer.line(`  ${agent_id}: ${detail}`);
        for (const risk of found.groups_at_risk) {
          printer.line(
            `  if group ${risk.group} failed: ${risk.stranded_tasks} tasks without a suitable agent, ${risk.slots_short} slots missing`,
          );
        }
        for (const { path, message } of found.configuration_warnings)
          printer.line(`  warning: ${path}: ${message}`);
        printer.line(
          `${found.free_slots} free slots; ${found.slots_short} missing if the busiest agent failed`,
        );
      });
    },
  },
  {
    name: "simulate",
    usage: "AGENT... [--group G]",
    summary: "Simulate the failure of agents",
    help: "  --group G          All live agents of this group; repeatable\n",
    arity: [0, ANY],
    options: { group: { type: "string", multiple: true } },
    async run({ coordinator, words: agents, options, printer }) {
      const groups = list(options.group);
      if (agents.length + groups.length === 0)
        throw new UsageError("name at least one agent, or use --group");
      const outcome = await coordinator.simulateFailover({ agents, groups });
      printer.show(outcome, () => {
        printer.table(
          ["TASK", "FROM", "TO", "WHY"],
          outcome.tasks.map(({ task_id, from, to, decision }) => [task_id, from, to, decision?.explanation]),
        );
        printer.line(
          `${outcome.tasks.length} tasks affected, ${outcome.stranded.length} without a suitable agent`,
        );
        for (const load of outcome.load_after) {
          printer.line(`  ${load.agent_id} would have ${load.task_count} of ${load.max_concurrent_tasks}`);
        }
      });
    },
  },
];
