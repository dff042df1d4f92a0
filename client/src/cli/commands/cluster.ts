/** Commands for the cluster as a whole: its status, and what it lacks. */
import { type Command, problem } from "../command.ts";
import { counted } from "../printer.ts";
import { clock } from "../time.ts";

const counts = (of: Record<string, number>) =>
  Object.entries(of)
    .map(([name, count]) => `${count} ${name}`)
    .join(", ");

export const clusterCommands: readonly Command[] = [
  {
    name: "status",
    summary: "Show the state of the cluster",
    examples: ["", "--cluster production"],
    async run({ coordinator, cluster, printer }) {
      const status = await coordinator.getClusterStatus();
      printer.show(status, () => {
        const isUntouched =
          status.total_agents === 0 && Object.values(status.tasks).every((count) => count === 0);
        if (isUntouched)
          printer.line(
            `cluster ${cluster} is empty: no agents and no tasks. Check --cluster if you expected some.`,
          );
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
    name: "readiness",
    summary: "Say whether the cluster would survive a failure, and what it lacks",
    details: "Exits with 7 if it is not ready.\n",
    examples: [""],
    async run({ coordinator, printer }) {
      const found = await coordinator.readiness();
      printer.show(found, () => {
        printer.line(found.ready ? "ready: no single point of failure found" : "not ready:");
        for (const sentence of found.missing) printer.line(`  ${sentence}`);
        for (const { capability, agent_id } of found.single_capabilities)
          printer.line(`  only ${agent_id} has the capability ${capability}`);
        const { count, task_ids } = found.tasks_without_backup;
        if (count > 0) {
          const more = count > task_ids.length ? `, and ${count - task_ids.length} more` : "";
          printer.line(`  ${counted(count, "task")} without a live backup: ${task_ids.join(", ")}${more}`);
        }
        for (const { agent_id, detail } of found.critical_agents_without_backup)
          printer.line(`  critical agent ${agent_id}: ${detail}`);
        for (const risk of found.groups_at_risk) {
          printer.line(
            `  if group ${risk.group} failed: ${counted(risk.stranded_tasks, "task")} without a suitable agent, ${counted(risk.slots_short, "slot")} missing`,
          );
        }
        for (const { path, message } of found.configuration_warnings)
          printer.line(`  warning: ${path}: ${message}`);
        printer.line(
          `${counted(found.free_slots, "free slot")}; ${found.slots_short} missing if the busiest agent failed`,
        );
      });
      if (!found.ready) throw problem("the cluster is not ready");
    },
  },
];
