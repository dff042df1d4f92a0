/** Why it went as it did, and what would happen: explain, simulate, readiness. */
import type { Decision } from "../index.ts";
import { ANY, type Command, list, UsageError } from "./command.ts";
import { clock, type Printer } from "./printer.ts";

export const FORESEEING: readonly Command[] = [
  {
    name: "explain",
    usage: "TASK",
    summary: "why a task went where it went",
    arity: [1, 1],
    options: {},
    async run({ coordinator, words: [id = ""], printer }) {
      const task = await coordinator.tasks.get(id);
      const decisions: Decision[] = [];
      for await (const decision of coordinator.tasks.decisions(id)) decisions.push(decision);
      printer.show({ task, decisions }, () => {
        printer.line(task.id, task.status, task.assigned_to ?? "", task.pending_reason ?? "");
        for (const decision of decisions) explain(decision, printer);
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
];

function explain(decision: Decision, printer: Printer): void {
  printer.line("");
  printer.line(
    `${clock(decision.at)}  attempt ${decision.attempt}, ${decision.reason}, ${decision.strategy}, ${decision.priority_level} priority`,
  );
  printer.line(`  ${decision.explanation}`);
  const factors = Object.keys(decision.weights);
  const rows = decision.candidates.map(({ agent_id, score, factors: values }) => [
    `  ${agent_id}`,
    score.toFixed(3),
    ...factors.map((name) => `${(values[name] ?? 0).toFixed(2)} × ${decision.weights[name]}`),
  ]);
  if (rows.length > 0)
    printer.table(["  CANDIDATE", "SCORE", ...factors.map((name) => name.toUpperCase())], rows);
  for (const { agent_id, reason, detail } of decision.excluded)
    printer.line(`  not ${agent_id}: ${reason} ${detail}`);
}
