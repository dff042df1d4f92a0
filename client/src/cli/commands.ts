/** What the command can do: one entry each, with its words, its help and its deed. */
import { readFileSync } from "node:fs";
import type { ParseArgsOptionsConfig } from "node:util";
import type {
  ConfigChange,
  Decision,
  DistributedCoordinator,
  JsonValue,
  Listing,
  Page,
  TaskSubmission,
} from "../index.ts";
import { clock, type Printer } from "./printer.ts";

type Deed = {
  coordinator: DistributedCoordinator;
  words: string[];
  options: Record<string, string | boolean | (string | boolean)[] | undefined>;
  printer: Printer;
};

export type Command = {
  name: string;
  usage: string;
  summary: string;
  help?: string;
  /** Fewest and most words after the name. */
  arity: readonly [number, number];
  options: ParseArgsOptionsConfig;
  run(deed: Deed): Promise<void>;
};

/** The words were wrong; nothing was done. */
export class UsageError extends Error {}

const ANY = Number.POSITIVE_INFINITY;
const string = { type: "string" } as const;
const LIST = { limit: string };
const LIST_HELP = "  --limit N          at most so many, newest first; default 50\n";

export const COMMANDS: readonly Command[] = [
  {
    name: "status",
    usage: "",
    summary: "the cluster at a glance",
    arity: [0, 0],
    options: {},
    async run({ coordinator, printer }) {
      const status = await coordinator.getClusterStatus();
      printer.show(status, () => {
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
    name: "watch",
    usage: "[--after ID]",
    summary: "what changes, as it changes",
    help: "  --after ID         from the event after that one; 0 for all that are kept\n",
    arity: [0, 0],
    options: { after: string },
    async run({ coordinator, options, printer }) {
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
  {
    name: "drain",
    usage: "AGENT [--mode M] [--deadline S]",
    summary: "an agent takes no new tasks",
    help: "  --mode M           finish (default): what runs may end; move: it is taken away\n  --deadline S       seconds after which what still runs is taken away\n",
    arity: [1, 1],
    options: { mode: string, deadline: string },
    async run({ coordinator, words: [agent = ""], options, printer }) {
      const { mode } = options;
      if (mode !== undefined && mode !== "move" && mode !== "finish")
        throw new UsageError("--mode is move or finish");
      const deadlineSeconds = number(options.deadline, "--deadline");
      const answered = await coordinator.agents.drain(agent, { mode, deadlineSeconds });
      printer.show(answered, () => printer.line(`${agent} takes no new tasks`));
    },
  },
  {
    name: "resume",
    usage: "AGENT",
    summary: "it takes tasks again",
    arity: [1, 1],
    options: {},
    async run({ coordinator, words: [agent = ""], printer }) {
      const answered = await coordinator.agents.resume(agent);
      printer.show(answered, () => printer.line(`${agent} takes tasks again`));
    },
  },
  {
    name: "submit",
    usage: "TYPE [--data JSON|@FILE]",
    summary: "submits a task",
    help: `  --data JSON|@FILE  what the task is about; @- reads the standard input
  --id ID            its own idempotency key; made at random if absent
  --priority N       0 to 10, higher is more urgent; default 5
  --group G          only agents of this group
  --label KEY=VALUE  only agents with this label; may be repeated
  --backup AGENT     to fail over to; may be repeated, in order
  --timeout S        seconds from its start
  --wait S           waits so many seconds for its end
`,
    arity: [1, 1],
    options: {
      ...{ data: string, id: string, priority: string, group: string, timeout: string, wait: string },
      label: { type: "string", multiple: true },
      backup: { type: "string", multiple: true },
    },
    async run({ coordinator, words: [type = ""], options, printer }) {
      const labels = list(options.label).map((pair) => keyValue(pair));
      const backups = list(options.backup);
      const task: TaskSubmission = {
        type,
        id: text(options.id),
        group: text(options.group),
        priority: number(options.priority, "--priority"),
        timeout_seconds: number(options.timeout, "--timeout"),
        ...(options.data === undefined ? {} : { data: dataOf(String(options.data)) }),
        ...(labels.length === 0 ? {} : { required_labels: Object.fromEntries(labels) }),
        ...(backups.length === 0 ? {} : { backups }),
      };
      const placed = await coordinator.tasks.submit(task);
      const waitSeconds = number(options.wait, "--wait");
      if (waitSeconds === undefined) {
        printer.show(placed, () => {
          printer.line(placed.task.id, placed.task.status, placed.task.assigned_to ?? "");
          printer.line(placed.decision?.explanation ?? placed.task.pending_reason);
        });
        return;
      }
      const ended = await coordinator.tasks.wait(placed.task.id, { waitSeconds });
      printer.show(ended, () => {
        printer.line(ended.id, ended.status, ended.assigned_to);
        printer.line(JSON.stringify(ended.error ?? ended.result));
      });
    },
  },
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
  {
    name: "config",
    usage: "get [KEY] | set KEY=VALUE...",
    summary: "reads or changes the configuration",
    help: "  KEY is a path such as failover_config.enabled; VALUE is JSON, or text; null goes back to the file\n",
    arity: [1, ANY],
    options: {},
    async run({ coordinator, words: [verb, ...words], printer }) {
      if (verb === "get" && words.length <= 1) {
        const { config } = await coordinator.config.get();
        const [key] = words;
        const value = key === undefined ? config : valueAt(config, key);
        printer.show(value, () =>
          printer.line(typeof value === "object" ? JSON.stringify(value, null, 2) : String(value)),
        );
        return;
      }
      if (verb !== "set" || words.length === 0)
        throw new UsageError("config get [KEY] or config set KEY=VALUE...");
      const change = {};
      for (const word of words) put(change, ...keyValue(word));
      const { config, pendingGroups } = await coordinator.config.patch(change as ConfigChange);
      printer.show(config, () => {
        for (const word of words)
          printer.line(keyValue(word)[0], "=", JSON.stringify(valueAt(config, keyValue(word)[0])));
        if (pendingGroups.length > 0) printer.line(`not yet in ${pendingGroups.join(", ")}`);
      });
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

/** One page with the filters that were given; the coordinator says what is wrong with their values. */
function page<Item>(options: Deed["options"], read: (filter: object) => Listing<Item>): Promise<Page<Item>> {
  const { json: _json, help: _help, url: _url, token: _token, cluster: _cluster, limit, ...filter } = options;
  return read({ limit: number(limit, "--limit"), ...filter });
}

const text = (value: unknown) => (typeof value === "string" ? value : undefined);
const list = (value: unknown) => (Array.isArray(value) ? value.map(String) : []);

function number(value: unknown, name: string): number | undefined {
  if (value === undefined) return undefined;
  const parsed = Number(value);
  if (value === "" || !Number.isFinite(parsed)) throw new UsageError(`${name} takes a number`);
  return parsed;
}

function dataOf(given: string): JsonValue {
  try {
    return JSON.parse(
      given.startsWith("@") ? readFileSync(given === "@-" ? 0 : given.slice(1), "utf8") : given,
    );
  } catch (error) {
    throw new UsageError(`--data: ${error instanceof Error ? error.message : error}`);
  }
}

function keyValue(pair: string): [string, string] {
  const at = pair.indexOf("=");
  if (at < 1) throw new UsageError(`${pair}: give KEY=VALUE`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

function valueAt(config: object, key: string): unknown {
  let value: unknown = config;
  for (const part of key.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) {
      throw new UsageError(`the configuration has no ${key}`);
    }
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

function put(change: Record<string, unknown>, key: string, value: string): void {
  const parts = key.split(".");
  const last = parts.pop() ?? "";
  let place = change;
  for (const part of parts) {
    if (!Object.hasOwn(place, part)) Object.defineProperty(place, part, { value: {}, enumerable: true });
    place = place[part] as Record<string, unknown>;
  }
  let parsed: unknown = value;
  try {
    parsed = JSON.parse(value);
  } catch {
    // Text as it is.
  }
  Object.defineProperty(place, last, { value: parsed, enumerable: true, configurable: true });
}
