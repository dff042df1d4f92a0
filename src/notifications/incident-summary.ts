/** An incident in a line or two: how severe it is, what failed, how much, since when, and where. */
import type { Severity } from "../contract/failure.ts";
import type { Incident } from "../contract/incident.ts";
import { counted, listed, MAX_NAME_CHARACTERS, momentInWords, printable, timeBetween } from "./text.ts";

const MAX_HEADLINE_CHARACTERS = 300;

const SEVERITY_WORDS: Record<Severity, string> = {
  info: "Info",
  warning: "Warning",
  error: "Error",
  critical: "Critical",
};

/** "Critical", or "Resolved" once the incident is over. */
function statusWord({ status, severity }: Pick<Incident, "status" | "severity">): string {
  return status === "resolved" ? "Resolved" : SEVERITY_WORDS[severity];
}

/** The incident in one line: its severity, or that it is resolved, and its summary. */
export function headline(incident: Incident): string {
  const summary = printable(incident.summary, MAX_HEADLINE_CHARACTERS);
  return printable(
    `${statusWord(incident)}: ${summary === "" ? counts(incident) : summary}`,
    MAX_HEADLINE_CHARACTERS,
  );
}

/** "since 2026-01-31 09:05:00 UTC", or from when to when and how long. */
export function timing({ opened_at, resolved_at }: Incident): string {
  if (resolved_at === null) return `since ${momentInWords(opened_at)}`;
  const duration = timeBetween(opened_at, resolved_at);
  return `from ${momentInWords(opened_at)} to ${momentInWords(resolved_at)}, ${duration}`;
}

/** Tasks that failed. A task that was given up has an entry of its own; an incident may have lost its entries. */
export function failedTasks({ failed_task_entries, tasks_failed }: Incident): number {
  return failed_task_entries > 0 ? failed_task_entries : tasks_failed;
}

/** The incident in numbers: "2 agents failed (1 recovered), 3 tasks moved". */
export function counts(incident: Incident): string {
  const { agents_failed, failed_task_entries } = incident;
  const parts = [
    ...(agents_failed > 0 ? [agentsInWords(incident)] : []),
    ...(failed_task_entries > 0 ? [`${counted(failed_task_entries, "task")} failed`] : []),
    ...(incident.tasks_reassigned > 0 ? [`${counted(incident.tasks_reassigned, "task")} moved`] : []),
    ...(incident.tasks_pending > 0 ? [withoutAgent(incident.tasks_pending)] : []),
    // A task that was given up has an entry of its own, which is counted above.
    ...(incident.tasks_failed > 0 && failed_task_entries === 0
      ? [`${counted(incident.tasks_failed, "task")} given up`]
      : []),
    ...(incident.locks_released > 0 ? [`${counted(incident.locks_released, "lock")} released`] : []),
  ];
  return parts.length === 0 ? counted(incident.failures, "failure") : parts.join(", ");
}

/** One agent by its name, several by their number. */
function agentsInWords({ agents_failed, agents_recovered, agents_flapping, entries }: Incident): string {
  const only = agents_failed === 1 ? entries.find((entry) => entry.task_id === null) : undefined;
  if (only?.agent_id != null) {
    const name = printable(only.agent_id, MAX_NAME_CHARACTERS);
    if (only.status === "flapping") return `${name} fails repeatedly`;
    if (only.status === "failed") return `${name} failed`;
    return `${name} failed and ${only.ended_by === "returned" ? "is back" : "was removed"}`;
  }
  const exceptions = [
    ...(agents_recovered > 0 ? [`${agents_recovered} recovered`] : []),
    ...(agents_flapping > 0 ? [`${agents_flapping} failing repeatedly`] : []),
  ].join(", ");
  const agents = `${counted(agents_failed, "agent")} failed`;
  return exceptions === "" ? agents : `${agents} (${exceptions})`;
}

/** Failed agents by group, the most affected first: "eu (3), us (1)"; null if there are none. */
export function groupsInWords({ groups }: Incident): string | null {
  const byCount = Object.entries(groups).sort(([a, one], [b, other]) => other - one || (a < b ? -1 : 1));
  if (byCount.length === 0) return null;
  return listed(byCount.map(([group, count]) => `${group} (${count})`));
}

/** Since when, how much, and where: the lines above the facts. */
export function overview(incident: Incident): string[] {
  const groups = groupsInWords(incident);
  return [timing(incident), counts(incident), ...(groups === null ? [] : [`groups: ${groups}`])];
}

/** "3 tasks of worker-7 found no agent"; the incident does not know whether they still wait. */
export function withoutAgent(count: number, owner = ""): string {
  return `${counted(count, "task")}${owner} found no agent`;
}
