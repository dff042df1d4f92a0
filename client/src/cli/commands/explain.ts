/** The command that prints every placement decision of a task, with the failure that caused it. */
import type { Decision, DistributedCoordinator, Failure, Task } from "../../index.ts";
import type { Command } from "../command.ts";
import type { Printer } from "../printer.ts";
import { clock, localTimes } from "../time.ts";

/** Failures of one agent that are searched for the one that caused a decision. */
const FAILURES_READ = 500;

export const explainCommands: readonly Command[] = [
  {
    name: "explain",
    args: "TASK",
    summary: "Explain every placement of a task",
    examples: ["task1"],
    async run({ coordinator, words: [id = ""], printer }) {
      const task = await coordinator.tasks.get(id);
      const decisions: Decision[] = [];
      for await (const decision of coordinator.tasks.decisions(id)) decisions.push(decision);
      const failures = await failuresOf(coordinator, decisions);
      printer.show({ task, decisions }, () => {
        printer.line(`${task.id} (${task.type}): ${stateOf(task)}`);
        for (const decision of decisions) explain(decision, causeOf(decision, failures), printer);
      });
    },
  },
];

function stateOf({ status, assigned_to, attempt, pending_reason, error }: Task): string {
  if (status === "pending") return `pending: ${localTimes(pending_reason)}`;
  const isHeld = status === "assigned" || status === "running";
  const by = assigned_to === null ? "" : `, ${isHeld ? "held" : "last held"} by ${assigned_to}`;
  const reason = status === "failed" && error !== null ? `: ${error.message}` : "";
  return `${status}${by}${attempt === 0 ? "" : `, attempt ${attempt}`}${reason}`;
}

/** What each agent that lost the task has failed with, newest first. */
async function failuresOf(
  coordinator: DistributedCoordinator,
  decisions: readonly Decision[],
): Promise<Failure[]> {
  const agents = new Set(decisions.flatMap(({ from_agent }) => (from_agent === null ? [] : [from_agent])));
  const pages = await Promise.all(
    [...agents].map((agent_id) => coordinator.failures.list({ agent_id, limit: FAILURES_READ })),
  );
  return pages.flatMap(({ items }) => items);
}

/** The latest failure before the decision that can have caused it: of the agent, or of the task. */
function causeOf(
  { reason, from_agent, task_id, at, explanation }: Decision,
  failures: readonly Failure[],
): Failure | undefined {
  // A broken connection is no failure yet.
  if (explanation.startsWith("Since ")) return undefined;
  return failures.find((failure) => {
    if (failure.agent_id !== from_agent || failure.at > at) return false;
    const isOfTask = failure.details.task_id === task_id;
    return reason === "task_failed" || reason === "task_timed_out"
      ? isOfTask
      : ["agent_failed", "agent_restarted"].includes(reason) && failure.details.task_id === undefined;
  });
}

function explain(decision: Decision, cause: Failure | undefined, printer: Printer): void {
  const { at, attempt, reason, strategy, priority_level, explanation, weights } = decision;
  printer.line();
  printer.line(
    `${clock(at)}  ${attempt === 0 ? "no attempt yet" : `attempt ${attempt}`}: ${reason.replaceAll("_", " ")}; ${strategy}, ${priority_level} priority`,
  );
  if (cause !== undefined) printer.line(`  ${cause.failure_type} at ${clock(cause.at)}: ${cause.message}`);
  printer.line(`  ${explanation}`);
  const factors = Object.keys(weights);
  const rows = decision.candidates.map(({ agent_id, score, factors: values }) => [
    `  ${agent_id}`,
    score.toFixed(3),
    ...factors.map((name) => `${(values[name] ?? 0).toFixed(2)} × ${weights[name]}`),
  ]);
  if (rows.length > 0)
    printer.table(["  CANDIDATE", "SCORE", ...factors.map((name) => name.toUpperCase())], rows);
  for (const { agent_id, detail } of decision.excluded) printer.line(`  excluded ${agent_id}: ${detail}`);
}
