/** The command that lists incidents: failures that belong together, and agents that fail repeatedly. */
import type { Incident } from "../../index.ts";
import { type Command, flag, type Invocation, LIMIT, listPage, UsageError, valued } from "../command.ts";
import { counted } from "../printer.ts";
import { clock } from "../time.ts";

/** Entries shown of one incident; --json shows up to 50. */
const ENTRIES = 5;

type Entry = Incident["entries"][number];

export const incidentCommands: readonly Command[] = [
  {
    name: "incidents",
    summary: "List incidents: failures that happened together, with what followed",
    options: {
      status: valued("S", "firing or resolved"),
      flapping: flag("Agents that fail and come back repeatedly, now"),
      ...LIMIT,
    },
    examples: ["--status firing", "--flapping"],
    async run(call) {
      const { status, flapping } = call.options;
      if (flapping === true) {
        if (status !== undefined) throw new UsageError("use --flapping or --status, not both");
        await showFlapping(call);
        return;
      }
      const { printer } = call;
      const { items } = await listPage(call, (page) =>
        call.coordinator.incidents.list({ ...({ status } as object), ...page }),
      );
      printer.show(items, () => {
        if (items.length === 0) printer.line("nothing found");
        for (const incident of items) {
          const until = incident.resolved_at === null ? "" : `until ${clock(incident.resolved_at)}`;
          printer.line(
            clock(incident.opened_at),
            until,
            incident.status,
            incident.severity,
            incident.summary,
          );
          for (const entry of incident.entries.slice(0, ENTRIES)) printer.line(`  ${sentence(entry)}`);
          const more = incident.entries.length + incident.entries_omitted - ENTRIES;
          if (more > 0) printer.line(`  and ${more} more`);
        }
      });
    },
  },
];

async function showFlapping({ coordinator, printer }: Invocation): Promise<void> {
  const entries: Entry[] = [];
  let omitted = 0;
  for await (const incident of coordinator.incidents.list({ status: "firing", limit: 500 })) {
    const shown = incident.entries.filter(
      ({ status, task_id, agent_id }) => status === "flapping" && task_id === null && agent_id !== null,
    );
    omitted += Math.max(0, incident.agents_flapping - shown.length);
    entries.push(...shown);
  }
  printer.show(entries, () => {
    if (entries.length === 0) return printer.line("no agent fails repeatedly");
    printer.table(
      ["AGENT", "FAILURES", "FIRST", "LAST", "TYPE", "MESSAGE"],
      entries.map((entry) => [
        entry.agent_id,
        entry.failures,
        clock(entry.failed_at),
        clock(entry.last_failed_at),
        entry.failure_type,
        entry.message,
      ]),
    );
  });
  if (omitted > 0) printer.warn(`${omitted} more, which the incidents count and do not name`);
}

function sentence(entry: Entry): string {
  const times = entry.failures > 1 ? `, ${entry.failures} times` : "";
  const follows = Object.entries({
    reassigned: entry.tasks_reassigned,
    "without an agent": entry.tasks_pending,
    failed: entry.tasks_failed,
  }).flatMap(([what, count]) => (count === 0 ? [] : [`${counted(count, "task")} ${what}`]));
  const locks = entry.locks_released > 0 ? [`${counted(entry.locks_released, "lock")} released`] : [];
  return [
    `${entry.task_id ?? entry.agent_id} ${entry.status}${times}: ${entry.message}`,
    ...follows,
    ...locks,
  ].join("; ");
}
