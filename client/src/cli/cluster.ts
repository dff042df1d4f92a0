/** Commands for the cluster as a whole: status, watch, readiness, simulate. */
import { ANY, type Command, list, number, string, UsageError } from "./command.ts";
import { clock } from "./printer.ts";

export const clusterCommands: readonly Command[] = [
  {
    name: "status",
    usage: "",
    summary: "the cluster at a glance",
    arity: [0, 0],
    options: {},
    async run({ coordinator, cluster, printer }) {
      const status = await coordinator.getClusterStatus();
      printer.show(status, () => {
        const isUntouched =
          status.total_agents === 0 && Object.values(status.tasks).every((count) => count === 0);
        if (isUntouched) printer.line(`nothing is registered in the cluster ${cluster}: is its name right?`);
        const counts = (of: Record<string, number>) =>
          Object.entries(of)
            .map(([name, count]) => `${count} ${name}`)
            .join(", ");
        printer.line("agents  ", counts(status.agents_by_status));
        printer.line("tasks   ", counts(status.tasks));
        printer.line("locks   ", status.locked_resources);
        printer.line("failures", `${status.failure_count} in 24 hours`);
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
    summary: "what changes, as it changes",
    help: "  --after ID         from the event after that one; 0 for all that are kept\n",
    arity: [0, 0],
    options: { after: string },
    async run({ coordinator, options, printer }) {
      // The stream is tried again without a word.
      coordinator.getClusterStatus({ timeoutSeconds: 5 }).catch((error: Error & { status?: number }) => {
        if ((error.status ?? 500) >= 500) printer.warn(`${error.message}; trying until somebody answers`);
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
    summary: "what hangs by one thread",
    arity: [0, 0],
    options: {},
    async run({ coordinator, printer }) {
      const found = await coordinator.readiness();
      printer.show(found, () => {
        printer.line(found.ready ? "nothing was found" : "not ready:");
        for (const { capability, agent_id } of found.single_capabilities)
          printer.line(`  ${agent_id} alone can do ${capability}`);
        const { count, task_ids } = found.tasks_without_backup;
        if (count > 0) printer.line(`  ${count} tasks without a live backup: ${task_ids.join(", ")}`);
        for (const { agent_id, detail } of found.critical_agents_without_backup)
          printer.line(`  ${agent_id}: ${detail}`);
        for (const risk of found.groups_at_risk) {
          printer.line(
            `  without the group ${risk.group}: ${risk.stranded_tasks} tasks stranded, ${risk.slots_short} slots short`,
          );
        }
        printer.line(
          `${found.free_slots} slots free, ${found.slots_short} short if the busiest agent failed`,
        );
      });
    },
  },
  {
    name: "simulate",
    usage: "AGENT... [--group G]",
    summary: "what would happen if these failed now",
    help: "  --group G          every live agent of it; may be repeated\n",
    arity: [0, ANY],
    options: { group: { type: "string", multiple: true } },
    async run({ coordinator, words: agents, options, printer }) {
      const groups = list(options.group);
      if (agents.length + groups.length === 0) throw new UsageError("name an agent, or --group");
      const outcome = await coordinator.simulateFailover({ agents, groups });
      printer.show(outcome, () => {
        printer.table(
          ["TASK", "FROM", "TO", "WHY"],
          outcome.tasks.map(({ task_id, from, to, decision }) => [task_id, from, to, decision?.explanation]),
        );
        printer.line(`${outcome.tasks.length} tasks affected, ${outcome.stranded.length} stranded`);
        for (const load of outcome.load_after) {
          printer.line(`  ${load.agent_id} would have ${load.task_count} of ${load.max_concurrent_tasks}`);
        }
      });
    },
  },
];
