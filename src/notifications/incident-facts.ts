/** The facts of an incident, a short line each: what failed, what moved where, and what a person should do. */
import type { Incident, IncidentEntry } from "../contract/incident.ts";
import { withoutAgent } from "./incident-summary.ts";
import { counted, listed, MAX_NAME_CHARACTERS, momentInWords, printable, timeBetween } from "./text.ts";

export type Facts = {
  /** What failed, when, and why, the most severe first. */
  readonly failed: string[];
  /** Which tasks moved from which agent to which. */
  readonly moved: string[];
  /** Tasks that no agent could take when they had to move, and tasks that were given up. */
  readonly stranded: string[];
  /** The released locks, or null if there are none. */
  readonly locks: string | null;
  /** What a person should do now; empty once the incident is resolved. */
  readonly toDo: string[];
  /** Agents that are back or were removed, and tasks that have ended. */
  readonly recovered: string[];
};

/** Long enough for a sentence of an agent, short enough that fifty of them can be read. */
const MAX_MESSAGE_CHARACTERS = 300;

/** What a person needs to know about an incident. */
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
      ...unlisted(incident, "tasks_reassigned").map(
        (count) => `${counted(count, "task")} of other agents moved`,
      ),
    ],
    stranded: [
      ...entries.flatMap(strandedLines),
      ...unlisted(incident, "tasks_pending").map((count) => withoutAgent(count, " of other agents")),
      ...unlisted(incident, "tasks_failed").map((count) => givenUp(count, " of other agents")),
    ],
    locks: locksLine(incident.locks_released),
    toDo: toDo(incident, down),
    recovered: [...recovered.map(recoveredLine), ...(status === "resolved" ? omitted : [])],
  };
}

/** The facts under their titles, the most important first; titles without facts are left out. */
export function sections(incident: Incident): { title: string; lines: string[] }[] {
  const { failed, moved, stranded, locks, toDo: steps, recovered } = facts(incident);
  return [
    { title: "What failed", lines: failed },
    { title: "What moved", lines: moved },
    { title: "Tasks without an agent", lines: stranded },
    { title: "Locks", lines: locks === null ? [] : [locks] },
    { title: "What to do", lines: steps },
    { title: "Recovered", lines: recovered },
  ].filter(({ lines }) => lines.length > 0);
}

/** The line above the invented incident of a test. */
export const TEST_NOTE = "This is a test: nothing failed. A failure would look like this:";

/** The built-in failure types, as texts about an agent and about a task. */
const AGENT_FAILURES: Readonly<Record<string, string>> = {
  heartbeat_timeout: "stopped sending heartbeats",
  connection_lost: "lost its connection",
  reported: "was reported as failed",
  no_suitable_agent: "left tasks that no agent can take",
};
const TASK_FAILURES: Readonly<Record<string, string>> = {
  task_failure: "failed",
  task_timeout: "timed out",
  max_reassignments_exceeded: "was given up after too many moves",
  no_suitable_agent: "has no suitable agent",
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
    entry.status === "flapping" ? "; it fails repeatedly" : "",
    last_sign_of_life_at === null ? "" : `; last sign of life ${momentInWords(last_sign_of_life_at)}`,
    message === "" ? "" : `: ${message}`,
  ].join("");
}

function recoveredLine(entry: IncidentEntry): string {
  const after =
    entry.recovered_at === null ? "" : ` after ${timeBetween(entry.failed_at, entry.recovered_at)}`;
  switch (entry.ended_by) {
    case "unregistered":
      return `${nameOf(entry)} was unregistered${after}`;
    case "task_ended":
      return `${nameOf(entry)} ended${after}`;
    case "queue_served":
      return `The tasks that waited have agents${after}`;
    case "expired":
      if (isQueue(entry)) return `The tasks that waited are no longer reported${after}`;
      return `${nameOf(entry)} gave no sign of life again and is no longer expected${after}`;
    default:
      return `${nameOf(entry)} is back${after}`;
  }
}

/** A line for each agent that was assigned some of the tasks, in the order of the moves. */
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
    ...(waiting > 0 ? [`${withoutAgent(waiting, owner)}${names}`] : []),
    ...(entry.tasks_failed > 0 ? [`${givenUp(entry.tasks_failed, owner)} after too many moves`] : []),
  ];
}

function givenUp(count: number, owner: string): string {
  return `${counted(count, "task")}${owner} ${count === 1 ? "was" : "were"} given up`;
}

function locksLine(released: number): string | null {
  if (released === 0) return null;
  if (released === 1) return "1 lock was released; its next waiter, if there is one, gets it";
  return `${released} locks were released; their next waiters, if there are any, get them`;
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
    ...(tasks_pending > 0 ? ["Start an agent that can take the tasks that found no agent"] : []),
    ...(tasks_failed > 0
      ? [`Find out why ${givenUp(tasks_failed, "")}, then retry ${tasks_failed === 1 ? "it" : "them"}`]
      : []),
    ...(taskIds.length > 0 ? [`Read the error of ${listed(taskIds)}`] : []),
    ...(failedIds.length > 0 ? [`Restart ${listed(failedIds)}`] : []),
    ...(flappingIds.length > 0 ? [`Drain ${listed(flappingIds)} until the cause is found`] : []),
  ];
  return steps.length > 0 ? steps : ["Nothing at the moment"];
}

/** The count of the incident beyond its listed entries; empty if there is none. */
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

/** Tasks that wait for an agent: no agent failed. */
const isQueue = ({ agent_id, task_id, failure_type }: IncidentEntry) =>
  agent_id === null && task_id === null && failure_type === "no_suitable_agent";

function whatHappened(entry: IncidentEntry): string {
  if (isQueue(entry)) return "has tasks that wait for an agent";
  const { task_id, failure_type } = entry;
  const known = task_id === null ? AGENT_FAILURES : TASK_FAILURES;
  const words = Object.hasOwn(known, failure_type) ? known[failure_type] : undefined;
  return words ?? `failed (${printable(failure_type, MAX_NAME_CHARACTERS)})`;
}
