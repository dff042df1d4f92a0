/**
 * From an incident to short lines that a person reads at a glance: what failed and since when,
 * what moved where, what is stranded, what to do. Plain text without control characters, every line
 * bounded; whoever puts it into a page, a mail or a chat escapes it for that place.
 */
import type { Severity } from "../contract/failure.ts";
import type { Incident, IncidentEntry } from "../contract/incident.ts";

export type Facts = {
  /** Who is down, since when, and why: a line each, the gravest first. */
  readonly failed: string[];
  /** Which tasks went from whom to whom. */
  readonly moved: string[];
  /** Tasks that found nobody when they had to move, and tasks that were given up. */
  readonly stranded: string[];
  /** What became of locks, or null if there were none. */
  readonly locks: string | null;
  /** What a person should do now; empty when nothing is left to do. */
  readonly toDo: string[];
  /** Who is back, or left for good. */
  readonly recovered: string[];
};

/** Long enough for a sentence of an agent, short enough that fifty of them can be read. */
const MAX_MESSAGE_CHARACTERS = 300;
const MAX_NAME_CHARACTERS = 128;
const MAX_HEADLINE_CHARACTERS = 300;
/** Names in one list; more than these nobody compares by eye. */
const NAMES_SHOWN = 5;

/** Ends of lines, and the tab, part words; they become a space. */
const SPACES = /[\s\u0085\u2028\u2029]+/gu;
/** Controls, halves of characters, and what turns the direction of the text around it. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]/gu;

/** One line of at most `maxCharacters` UTF-16 units that shows what it holds. */
export function printable(text: string, maxCharacters: number): string {
  const line = text.replace(SPACES, " ").replace(UNPRINTABLE, "").replace(/ +/g, " ").trim();
  if (line.length <= maxCharacters) return line;
  // A character of two units is not cut in half.
  const cut = line.slice(0, Math.max(0, maxCharacters - 1)).replace(/[\ud800-\udbff]$/, "");
  return maxCharacters < 1 ? "" : `${cut.trimEnd()}…`;
}

/** "a, b and c"; "a, b and 12 more" when `total` is more than what is named. */
export function listed(names: readonly string[], total: number = names.length, shown = NAMES_SHOWN): string {
  const named = names.slice(0, shown).map((name) => printable(name, MAX_NAME_CHARACTERS));
  const omitted = Math.max(total, names.length) - named.length;
  const parts = omitted > 0 ? [...named, named.length === 0 ? String(omitted) : `${omitted} more`] : named;
  const last = parts.at(-1) ?? "";
  return parts.length < 2 ? last : `${parts.slice(0, -1).join(", ")} and ${last}`;
}

/** "1 task", "3 tasks". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Units of time, longest first; two of them are exact enough for people. */
const UNITS = [
  { ms: 86_400_000, one: "day" },
  { ms: 3_600_000, one: "hour" },
  { ms: 60_000, one: "minute" },
  { ms: 1000, one: "second" },
];

/** "2 hours 5 minutes"; whatever is shorter than a second is "less than a second". */
export function durationInWords(durationMs: number): string {
  const at = UNITS.findIndex(({ ms }) => durationMs >= ms);
  const first = UNITS[at];
  if (first === undefined) return "less than a second";
  const count = Math.floor(durationMs / first.ms);
  const second = UNITS[at + 1];
  const rest = second === undefined ? 0 : Math.floor((durationMs - count * first.ms) / second.ms);
  const words = counted(count, first.one);
  return second === undefined || rest === 0 ? words : `${words} ${counted(rest, second.one)}`;
}

/** An instant of the wire as people read it: "2026-01-31 09:05:00 UTC". */
export function momentInWords(instant: string): string {
  const [, date, time] = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.\d+)?Z$/.exec(instant) ?? [];
  return date === undefined || time === undefined ? printable(instant, 40) : `${date} ${time} UTC`;
}

const SEVERITY_WORDS: Record<Severity, string> = {
  info: "Info",
  warning: "Warning",
  error: "Error",
  critical: "Critical",
};

/** "Critical", or "Resolved" once it is over. */
export function standing({ status, severity }: Pick<Incident, "status" | "severity">): string {
  return status === "resolved" ? "Resolved" : SEVERITY_WORDS[severity];
}

/** The incident in one line: how grave or that it is over, and its summary. */
export function headline(incident: Incident): string {
  const summary = printable(incident.summary, MAX_HEADLINE_CHARACTERS);
  return printable(
    `${standing(incident)}: ${summary === "" ? counts(incident) : summary}`,
    MAX_HEADLINE_CHARACTERS,
  );
}

/** "since 2026-01-31 09:05:00 UTC", or from when to when and how long. */
export function timing({ opened_at, resolved_at }: Incident): string {
  if (resolved_at === null) return `since ${momentInWords(opened_at)}`;
  const duration = between(opened_at, resolved_at);
  return `from ${momentInWords(opened_at)} to ${momentInWords(resolved_at)}, ${duration}`;
}

/** The incident in numbers: "2 agents failed (1 back or gone for good), 3 tasks moved". */
export function counts(incident: Incident): string {
  const { agents_failed, failed_task_entries } = incident;
  const parts = [
    ...(agents_failed > 0 ? [agentsInWords(incident)] : []),
    ...(failed_task_entries > 0 ? [`${counted(failed_task_entries, "task")} failed`] : []),
    ...(incident.tasks_reassigned > 0 ? [`${counted(incident.tasks_reassigned, "task")} moved`] : []),
    ...(incident.tasks_pending > 0 ? [stranding(incident.tasks_pending)] : []),
    // A task that was given up has an entry of its own; said twice, it would count twice.
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
    if (only.status === "flapping") return `${name} fails again and again`;
    if (only.status === "failed") return `${name} failed`;
    return `${name} failed and ${only.ended_by === "returned" ? "is back" : "is gone for good"}`;
  }
  const exceptions = [
    ...(agents_recovered > 0 ? [`${agents_recovered} back or gone for good`] : []),
    ...(agents_flapping > 0 ? [`${agents_flapping} failing again and again`] : []),
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

/** What a person wants to know of an incident. */
export function facts(incident: Incident): Facts {
  const { entries, status } = incident;
  const down = entries.filter((entry) => entry.status !== "recovered");
  const recovered = entries.filter((entry) => entry.status === "recovered");
  const omitted =
    incident.entries_omitted > 0
      ? [`${incident.entries_omitted} more ${incident.entries_omitted === 1 ? "is" : "are"} not listed here`]
      : [];
  return {
    failed: [...down.map(failedLine), ...(status === "firing" ? omitted : [])],
    moved: [
      ...entries.flatMap(movedLines),
      ...unlisted(incident, "tasks_reassigned").map((count) => `${counted(count, "task")} of others moved`),
    ],
    stranded: [
      ...entries.flatMap(strandedLines),
      ...unlisted(incident, "tasks_pending").map((count) => stranding(count, " of others")),
      ...unlisted(incident, "tasks_failed").map((count) => givenUp(count, " of others")),
    ],
    locks: locksLine(incident.locks_released),
    toDo: toDo(incident, down),
    recovered: [...recovered.map(recoveredLine), ...(status === "resolved" ? omitted : [])],
  };
}

/** The facts that there are, under their titles, in the order in which they matter. */
export function sections(incident: Incident): { title: string; lines: string[] }[] {
  const { failed, moved, stranded, locks, toDo: steps, recovered } = facts(incident);
  return [
    { title: "What failed", lines: failed },
    { title: "What moved", lines: moved },
    { title: "What is stranded", lines: stranded },
    { title: "Locks", lines: locks === null ? [] : [locks] },
    { title: "What to do", lines: steps },
    { title: "Who is back", lines: recovered },
  ].filter(({ lines }) => lines.length > 0);
}

/** Stands above the invented incident of a test. */
export const TEST_NOTE = "This is a test: nothing failed. A failure would look like this:";

/** Since when, how much, and where: what stands above the facts. */
export function overview(incident: Incident): string[] {
  const groups = groupsInWords(incident);
  return [timing(incident), counts(incident), ...(groups === null ? [] : [`groups: ${groups}`])];
}

/** Failure types of our own, as they are said of an agent and of a task. */
const AGENT_FAILURES: Readonly<Record<string, string>> = {
  heartbeat_timeout: "fell silent",
  connection_lost: "lost its connection",
  reported: "was reported as failed",
  no_suitable_agent: "left tasks that nobody can take",
};
const TASK_FAILURES: Readonly<Record<string, string>> = {
  task_failure: "failed",
  task_timeout: "was too slow",
  max_reassignments_exceeded: "was given up after too many moves",
  no_suitable_agent: "finds no agent",
};

function failedLine(entry: IncidentEntry): string {
  const { group, failures, last_failed_at, last_sign_of_life_at } = entry;
  const message = printable(entry.message, MAX_MESSAGE_CHARACTERS);
  return [
    nameOf(entry),
    group === null ? "" : ` (group ${group})`,
    ` ${whatHappened(entry)}`,
    failures > 1 ? `, ${failures} times, last at ` : " at ",
    momentInWords(last_failed_at),
    entry.status === "flapping" ? "; it keeps failing" : "",
    last_sign_of_life_at === null ? "" : `; last sign of life ${momentInWords(last_sign_of_life_at)}`,
    message === "" ? "" : `: ${message}`,
  ].join("");
}

function recoveredLine(entry: IncidentEntry): string {
  const after = entry.recovered_at === null ? "" : ` after ${between(entry.failed_at, entry.recovered_at)}`;
  switch (entry.ended_by) {
    case "unregistered":
      return `${nameOf(entry)} was unregistered${after}`;
    case "task_ended":
      return `${nameOf(entry)} came to its end${after}`;
    case "expired":
      return `${nameOf(entry)} was not heard of again and is no longer waited for${after}`;
    default:
      return `${nameOf(entry)} is back${after}`;
  }
}

/** A line for each agent that took something over, in the order of the moves. */
function movedLines(entry: IncidentEntry): string[] {
  const taskIdsByTarget = new Map<string, string[]>();
  for (const { task_id, to } of entry.moved) {
    taskIdsByTarget.set(to, [...(taskIdsByTarget.get(to) ?? []), task_id]);
  }
  const from = entry.agent_id === null ? "" : `${entry.agent_id} `;
  const lines = [...taskIdsByTarget].map(([to, taskIds]) => `${from}→ ${to}: ${listed(taskIds)}`);
  const unnamed = entry.tasks_reassigned - entry.moved.length;
  const owner = entry.agent_id === null ? "" : ` of ${entry.agent_id}`;
  return unnamed > 0 ? [...lines, `${counted(unnamed, "more task")}${owner} moved`] : lines;
}

function strandedLines(entry: IncidentEntry): string[] {
  const owner = entry.agent_id === null ? "" : ` of ${entry.agent_id}`;
  const waiting = Math.max(entry.tasks_pending, entry.stranded.length);
  const names = entry.stranded.length === 0 ? "" : `: ${listed(entry.stranded, waiting)}`;
  return [
    ...(waiting > 0 ? [`${stranding(waiting, owner)}${names}`] : []),
    ...(entry.tasks_failed > 0 ? [`${givenUp(entry.tasks_failed, owner)} after too many moves`] : []),
  ];
}

/** "3 tasks of worker-7 found no agent"; whether they still wait, the incident does not know. */
function stranding(count: number, owner = ""): string {
  return `${counted(count, "task")}${owner} found no agent`;
}

function givenUp(count: number, owner: string): string {
  return `${counted(count, "task")}${owner} ${count === 1 ? "was" : "were"} given up`;
}

function locksLine(released: number): string | null {
  if (released === 0) return null;
  if (released === 1) return "1 lock was released; whoever waited for it can go on";
  return `${released} locks were released; whoever waited for them can go on`;
}

function toDo(incident: Incident, down: readonly IncidentEntry[]): string[] {
  if (incident.status === "resolved") return [];
  const agentIds = (status: IncidentEntry["status"]) =>
    down.flatMap(({ status: now, agent_id, task_id }) =>
      now === status && task_id === null && agent_id !== null ? [agent_id] : [],
    );
  const failedIds = agentIds("failed");
  const flappingIds = agentIds("flapping");
  const taskIds = down.flatMap(({ task_id }) => task_id ?? []);
  const { tasks_pending, tasks_failed } = incident;
  const steps = [
    ...(tasks_pending > 0 ? ["Start an agent that can take what found none and still waits"] : []),
    ...(tasks_failed > 0
      ? [`Look why ${givenUp(tasks_failed, "")}, then retry ${tasks_failed === 1 ? "it" : "them"}`]
      : []),
    ...(taskIds.length > 0 ? [`Look at the error of ${listed(taskIds)}`] : []),
    ...(failedIds.length > 0 ? [`Restart ${listed(failedIds)}`] : []),
    ...(flappingIds.length > 0 ? [`Drain ${listed(flappingIds)} until the cause is found`] : []),
  ];
  return steps.length > 0 ? steps : ["Nothing waits for a person"];
}

/** What the incident counts beyond its listed entries; empty if there is nothing. */
function unlisted(
  { entries, ...counts }: Incident,
  field: "tasks_reassigned" | "tasks_pending" | "tasks_failed",
): number[] {
  const more = counts[field] - entries.reduce((sum, entry) => sum + entry[field], 0);
  return more > 0 ? [more] : [];
}

function nameOf({ agent_id, task_id }: IncidentEntry): string {
  if (task_id === null) return agent_id ?? "The cluster";
  return agent_id === null ? `Task ${task_id}` : `Task ${task_id} of ${agent_id}`;
}

function whatHappened({ task_id, failure_type }: IncidentEntry): string {
  const known = task_id === null ? AGENT_FAILURES : TASK_FAILURES;
  const words = Object.hasOwn(known, failure_type) ? known[failure_type] : undefined;
  return words ?? `failed (${printable(failure_type, MAX_NAME_CHARACTERS)})`;
}

function between(from: string, to: string): string {
  return durationInWords(Math.max(0, Date.parse(to) - Date.parse(from)));
}
