/** A report as lines for a terminal. */
import type { CommonReport, CoordinatorReport, GroupReport, NotifierReport } from "./object-reports.ts";
import type { ClusterReport, ObjectReport, Report } from "./report.ts";

const ID_CHARACTERS = 8;

export function reportText(report: Report): string {
  const objects = report.clusters.reduce(
    (sum, { coordinator, groups, notifier }) =>
      sum + Number(coordinator !== null) + groups.length + Number(notifier !== null),
    0,
  );
  const head = `${report.data_dir}: ${counted(objects, "object")}, ${size(report.size_bytes)}, read at ${instant(report.read_at)}`;
  return [head, ...report.clusters.flatMap((cluster) => ["", ...clusterLines(cluster, report.read_at)])].join(
    "\n",
  );
}

function clusterLines({ name, coordinator, groups, notifier }: ClusterReport, nowMs: number): string[] {
  const unknown = "cluster of unknown name (pass --cluster NAME to try a name)";
  return [
    name === null ? unknown : `cluster ${name}`,
    ...(coordinator === null
      ? []
      : objectLines("coordinator", coordinator, (state) => coordinatorLines(state, nowMs))),
    ...groups.flatMap((group) =>
      objectLines(`group ${group.name?.split("/")[1] ?? "of unknown name"}`, group, (state) =>
        groupLines(state, nowMs),
      ),
    ),
    ...(notifier === null ? [] : objectLines("notifier", notifier, (state) => notifierLines(state, nowMs))),
  ];
}

function objectLines<State>(
  title: string,
  object: ObjectReport<State>,
  linesOf: (state: State) => string[],
): string[] {
  const about = `  ${title}: id ${object.id.slice(0, ID_CHARACTERS)}, ${size(object.size_bytes)}`;
  if ("problem" in object) return [`${about}, not readable: ${object.problem}`];
  const alarm = object.alarm_at === null ? "no alarm" : `alarm ${instant(object.alarm_at)}`;
  return [
    `${about}, ${schemaText(object.state)}, ${alarm}`,
    ...[...linesOf(object.state), ...messageLines(object.state)].map((line) => `    ${line}`),
  ];
}

function schemaText({ schema_version, known_schema_version }: CommonReport): string {
  const version = `schema ${schema_version}`;
  if (schema_version === known_schema_version) return version;
  return schema_version > known_schema_version
    ? `${version}, NEWER than this program (${known_schema_version})`
    : `${version}, older than this program (${known_schema_version})`;
}

function coordinatorLines(state: CoordinatorReport, nowMs: number): string[] {
  return [
    `agents: ${byKind(state.agents)}`,
    `tasks: ${byKind(state.tasks)}`,
    `failures of the last day: ${byKind(state.failures)}`,
    `next task deadline: ${due(state.next_task_deadline_at, nowMs)}; next retry: ${due(state.next_retry_at, nowMs)}`,
    ...(state.reassignment_jobs > 0 ? [`reassignments under way: ${state.reassignment_jobs}`] : []),
    `configuration version ${state.config_version}, last event ${state.last_event_id}`,
  ];
}

function groupLines(state: GroupReport, nowMs: number): string[] {
  const { live, suspect, draining, connected } = state.agents;
  const unnamed = state.locks_held - state.locks.length;
  return [
    `live agents: ${live} (${suspect} suspect, ${draining} draining, ${connected} with a socket)`,
    `next agent deadline: ${due(state.next_agent_deadline_at, nowMs)}`,
    `held locks: ${state.locks_held}, waiters: ${state.lock_waiters}, unread messages: ${state.unread_messages}`,
    ...state.locks.map(
      (lock) =>
        `  ${lock.resource}: ${lock.holder} (incarnation ${lock.incarnation}, token ${lock.fencing_token}), ` +
        `expires ${due(lock.expires_at, nowMs)}, ${counted(lock.waiters, "waiter")}`,
    ),
    ...(unnamed > 0 ? [`  and ${unnamed} more`] : []),
  ];
}

function notifierLines(state: NotifierReport, nowMs: number): string[] {
  return [
    `open incidents: ${state.open_incidents}`,
    `notifications: ${byKind(state.notifications)}; next attempt: ${due(state.next_try_at, nowMs)}`,
  ];
}

function messageLines({ outbox, dead_letters, dead_letter_count }: CommonReport): string[] {
  const unnamed = dead_letter_count - dead_letters.length;
  return [
    `outbox: ${byKind(outbox)}; ${counted(dead_letter_count, "dead letter")}`,
    ...dead_letters.map(
      ({ receiver, number, type, reason }) => `  ${number} ${type} to ${receiver}: ${reason}`,
    ),
    ...(unnamed > 0 ? [`  and ${unnamed} more`] : []),
  ];
}

/** "5 (3 active, 2 inactive)", or "none". */
function byKind(counts: Readonly<Record<string, number>>): string {
  const kinds = Object.entries(counts);
  if (kinds.length === 0) return "none";
  const total = kinds.reduce((sum, [, count]) => sum + count, 0);
  return `${total} (${kinds.map(([kind, count]) => `${count} ${kind}`).join(", ")})`;
}

function due(atMs: number | null, nowMs: number): string {
  if (atMs === null) return "none";
  const seconds = Math.round((atMs - nowMs) / 1000);
  return seconds < 0 ? `${-seconds} s ago` : `in ${seconds} s`;
}

const counted = (count: number, one: string) => `${count} ${one}${count === 1 ? "" : "s"}`;

const instant = (ms: number) => new Date(ms).toISOString();

function size(bytes: number): string {
  return bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
