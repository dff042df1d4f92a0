/** What is there: commands that show records. */
import type { Listing, Page } from "../index.ts";
import { type Command, type Invocation, number, string, text, UsageError } from "./command.ts";
import { clock } from "./printer.ts";

const LIST = { limit: string };
const LIST_HELP = "  --limit N          at most so many, newest first; default 50\n";

export const LOOKING: readonly Command[] = [
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
    name: "agents",
    usage: "[--status S] [--group G]",
    summary: "the agents",
    help: `  --status S         active, suspect, draining or inactive\n  --group G\n${LIST_HELP}`,
    arity: [0, 0],
    options: { ...LIST, status: string, group: string },
    async run({ coordinator, options, printer }) {
      const { items } = await page(options, (filter) => coordinator.agents.list(filter));
      printer.show(items, () =>
        printer.table(
          ["AGENT", "STATUS", "GROUP", "TASKS", "RELIABILITY", "LAST HEARTBEAT", "CAPABILITIES"],
          items.map((agent) => [
            agent.id,
            agent.status,
            agent.group,
            `${agent.task_count}/${agent.max_concurrent_tasks}`,
            agent.reliability.toFixed(2),
            clock(agent.last_heartbeat_at),
            agent.capabilities.join(","),
          ]),
        ),
      );
    },
  },
  {
    name: "tasks",
    usage: "[--status S] [--type T] [--agent A]",
    summary: "the tasks",
    help: `  --status S         pending, assigned, running, completed, failed or cancelled\n  --type T\n  --agent A          held by this agent\n${LIST_HELP}`,
    arity: [0, 0],
    options: { ...LIST, status: string, type: string, agent: string },
    async run({ coordinator, options: { agent, ...options }, printer }) {
      const wanted = { ...options, assigned_to: agent };
      const { items } = await page(wanted, (filter) => coordinator.tasks.list(filter));
      printer.show(items, () =>
        printer.table(
          ["TASK", "TYPE", "STATUS", "PRIORITY", "AGENT", "ATTEMPT", "CREATED", "NOTE"],
          items.map((task) => [
            task.id,
            task.type,
            task.status,
            task.priority,
            task.assigned_to,
            task.attempt,
            clock(task.created_at),
            task.error?.message ?? task.pending_reason,
          ]),
        ),
      );
    },
  },
  {
    name: "failures",
    usage: "[--agent A] [--min-severity S]",
    summary: "the failures on record",
    help: `  --agent A\n  --min-severity S   info, warning, error or critical\n${LIST_HELP}`,
    arity: [0, 0],
    options: { ...LIST, agent: string, "min-severity": string },
    async run({ coordinator, options, printer }) {
      const wanted = { limit: options.limit, agent_id: options.agent, min_severity: options["min-severity"] };
      const { items } = await page(wanted, (filter) => coordinator.failures.list(filter));
      printer.show(items, () =>
        printer.table(
          ["AT", "SEVERITY", "TYPE", "AGENT", "MOVED", "PENDING", "LOCKS", "MESSAGE"],
          items.map((failure) => [
            clock(failure.at),
            failure.severity,
            failure.failure_type,
            failure.agent_id,
            failure.tasks_reassigned,
            failure.tasks_pending,
            failure.locks_released.length,
            failure.message,
          ]),
        ),
      );
    },
  },
  {
    name: "locks",
    usage: "[--group G] [--break RESOURCE]",
    summary: "who holds what; ends a lock",
    help: `  --group G          default: default\n  --break RESOURCE   ends that lock, whoever holds it\n${LIST_HELP}`,
    arity: [0, 0],
    options: { ...LIST, group: string, break: string },
    async run({ coordinator, options, printer }) {
      const group = text(options.group) ?? "default";
      const resource = text(options.break);
      if (resource !== undefined) {
        const broken = await coordinator.locks.break(resource, group);
        printer.show(broken, () => printer.line(`${resource} is free`));
        return;
      }
      const { items } = await page({ limit: options.limit }, (filter) =>
        coordinator.locks.list(group, filter),
      );
      printer.show(items, () =>
        printer.table(
          ["RESOURCE", "HOLDER", "TOKEN", "EXPIRES", "WAITERS"],
          items.map((lock) => [
            lock.resource,
            lock.holder,
            lock.fencing_token,
            clock(lock.expires_at),
            lock.waiters.join(","),
          ]),
        ),
      );
    },
  },
  {
    name: "notifications",
    usage: "[test | redeliver ID]",
    summary: "who was told; a test; once more",
    help: `  --state S          pending, delivered, dead or superseded\n${LIST_HELP}`,
    arity: [0, 2],
    options: { ...LIST, state: string },
    async run({ coordinator, words: [verb, id], options, printer }) {
      if (verb === "test" && id === undefined) {
        const results = await coordinator.notifications.test();
        printer.show(results, () =>
          printer.table(
            ["CHANNEL", "DELIVERED", "SECONDS", "ERROR"],
            results.map((result) => [
              result.channel,
              result.delivered,
              result.duration_seconds,
              result.error,
            ]),
          ),
        );
        return;
      }
      if (verb === "redeliver" && id !== undefined) {
        const sent = await coordinator.notifications.redeliver(id);
        printer.show(sent, () => printer.line(sent.id, sent.state, sent.last_error ?? ""));
        return;
      }
      if (verb !== undefined)
        throw new UsageError("notifications, notifications test or notifications redeliver ID");
      const { items } = await page(options, (filter) => coordinator.notifications.list(filter));
      printer.show(items, () =>
        printer.table(
          ["ID", "AT", "CHANNEL", "STATE", "SEVERITY", "SUBJECT"],
          items.map((sent) => [
            sent.id,
            clock(sent.at),
            sent.channel,
            sent.state,
            sent.severity,
            sent.subject,
          ]),
        ),
      );
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
];

/** One page with the filters that were given; the coordinator says what is wrong with their values. */
function page<Item>(
  options: Invocation["options"],
  read: (filter: object) => Listing<Item>,
): Promise<Page<Item>> {
  const { json: _json, help: _help, url: _url, token: _token, cluster: _cluster, limit, ...filter } = options;
  return read({ limit: number(limit, "--limit"), ...filter });
}
