/** The command that prints every placement decision of a task. */
import type { Decision } from "../index.ts";
import type { Command } from "./command.ts";
import { clock, type Printer } from "./printer.ts";

export const explainCommands: readonly Command[] = [
  {
    name: "explain",
    usage: "TASK",
    summary: "Explain every placement of a task",
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
    printer.line(`  excluded ${agent_id}: ${reason} ${detail}`);
}
