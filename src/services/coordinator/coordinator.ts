/**
 * What a coordinator does: the authority for agent ids and incarnations, tasks, decisions,
 * failures, configuration and the event log of one cluster. This class is the door: every
 * call is one commit, and the parts behind it do the work.
 *
 *   Registration, TaskDesk, Failover --> Placement --> Ledger (records, outbox, doorbells)
 */
import type { Agent, AgentFilter, Registration as RegistrationBody } from "../../contract/agent.ts";
import type { ClusterStatus } from "../../contract/cluster.ts";
import type { Page } from "../../contract/common.ts";
import type { Config } from "../../contract/config.ts";
import type { Decision } from "../../contract/decision.ts";
import type { Event } from "../../contract/event.ts";
import type { Failure, FailureFilter } from "../../contract/failure.ts";
import { type Outcome, ok, type Problem, refuse } from "../../contract/problem.ts";
import type {
  Placement as PlacementAnswer,
  Task,
  TaskCompletion,
  TaskFailure,
  TaskFilter,
  TaskProgress,
  TaskResult,
  TaskStart,
  TaskStatus,
  TaskSubmission,
} from "../../contract/task.ts";
import { TASK_STATUSES } from "../../contract/task.ts";
import { redactConfig } from "../../domain/config-secrets.ts";
import { type ConfigChange, patchConfig, replaceConfig } from "../../domain/configuration.ts";
import type { Message } from "../../domain/message.ts";
import { isLateAlarm, isRestart, type PauseCause } from "../../domain/pause.ts";
import { taskDeadline } from "../../domain/task-deadline.ts";
import { creditedTask } from "../../domain/task-life.ts";
import { COORDINATOR_MIGRATIONS } from "../../storage/coordinator/schema.ts";
import type { PlaceInLine, Slice } from "../../storage/coordinator/tasks.ts";
import { MetaStore } from "../../storage/meta.ts";
import { strategyFor } from "../../strategies/registry.ts";
import type { Address, Host, Parcel, Receipt } from "../host.ts";
import { Inbox } from "../inbox.ts";
import { UnitOfWork } from "../unit-of-work.ts";
import { Failover } from "./failover.ts";
import { Ledger } from "./ledger.ts";
import { Placement } from "./placement.ts";
import { type Registrar, Registration } from "./registration.ts";
import { Settings } from "./settings.ts";
import { noSuchTask, type Speaker, TaskDesk } from "./task-desk.ts";
import { agentView, taskView } from "./views.ts";

/** How long a call waits for other objects to have heard of what it did. */
const HEARD_LIMIT_MS = 5000;

/** Rows that one alarm changes of each kind at most; the rest follows in the next. */
const ALARM_SLICE = 100;

/** Failures shown in the status. */
const RECENT_FAILURES = 10;

const DAY_MS = 86_400_000;

/** Slices run in one event before others get their turn. */
const SLICES_PER_EVENT = 1;

/** Work that a crash may have interrupted is taken up by the alarm this much later. */
const SAFETY_NET_MS = 1000;

export type ConfigAnswer = { config: Config; etag: string; version: number; pendingGroups: string[] };

export class Coordinator {
  readonly #host: Host;
  readonly #unit: UnitOfWork;
  readonly #ledger: Ledger;
  readonly #inbox: Inbox;
  readonly #placement: Placement;
  readonly #registration: Registration;
  readonly #desk: TaskDesk;
  readonly #failover: Failover;
  #isDeferred = false;
  #lastPauseMs = 0;

  /** @param base the configuration file's content */
  constructor(host: Host, base: Config) {
    this.#host = host;
    const meta = new MetaStore(host.sql);
    this.#unit = new UnitOfWork(host, {
      migrations: COORDINATOR_MIGRATIONS,
      load: (nowMs) => this.#load(nowMs),
      nextWorkMs: (nowMs) => this.#nextWorkMs(nowMs),
    });
    this.#ledger = new Ledger(host, this.#unit, meta, new Settings(base, meta, host.log));
    this.#inbox = new Inbox(host, this.#unit, (message, nowMs) => this.#apply(message, nowMs));
    this.#placement = new Placement(this.#ledger);
    this.#registration = new Registration(this.#ledger, this.#placement);
    this.#desk = new TaskDesk(this.#ledger, this.#placement);
    this.#failover = new Failover(this.#ledger, this.#placement, this.#desk);
  }

  // From the groups

  /** Applies the whole parcel before anything moves: agents that failed together do not inherit from each other. */
  receive(parcel: Parcel): Receipt {
    const receipt = this.#inbox.receive(parcel);
    this.#runWork();
    return receipt;
  }

  // Agents

  /** Resolves once the group watches over the new incarnation. */
  async register(
    group: string,
    agentId: string,
    body: RegistrationBody,
    registrar: Registrar,
  ): Promise<Outcome<{ agent: Agent; isNew: boolean }>> {
    const registered = this.#unit.commit((nowMs) =>
      this.#registration.register(group, agentId, body, registrar, nowMs),
    );
    if (!registered.ok) return registered;
    const { agent, admission, isNew } = registered.value;
    const isHeard = await this.#ledger.outbox.delivered(`group/${group}`, admission.number, HEARD_LIMIT_MS);
    if (!isHeard) return refuse("unavailable", "the group did not answer in time; register again");
    return ok({ agent, isNew });
  }

  agent(agentId: string): Outcome<Agent> {
    return this.#unit.read((nowMs): Outcome<Agent> => {
      const agent = this.#ledger.roster.find(agentId);
      if (agent === undefined || agent.isLeaving) return noSuchAgent();
      return ok(agentView(agent, this.#ledger.roster.openTasksOf(agentId), nowMs));
    });
  }

  agents(filter: AgentFilter, limit: number, afterId: string | null): Page<Agent> {
    return this.#unit.read((nowMs) => {
      const matching = this.#ledger.roster
        .all()
        .filter(
          (agent) =>
            (afterId === null || agent.id > afterId) &&
            (filter.status === undefined || agent.status === filter.status) &&
            (filter.group === undefined || agent.group === filter.group) &&
            (filter.type === undefined || agent.type === filter.type) &&
            (filter.capability === undefined || agent.capabilities.includes(filter.capability)),
        );
      const page = matching.slice(0, limit);
      return {
        items: page.map((agent) => agentView(agent, this.#ledger.roster.openTasksOf(agent.id), nowMs)),
        next_cursor: matching.length > limit ? (page.at(-1)?.id ?? null) : null,
      };
    });
  }

  /** Drops an agent that is gone; what it still holds moves on. */
  forget(agentId: string): Outcome<null> {
    const forgotten = this.#unit.commit((nowMs) => this.#failover.forget(agentId, nowMs));
    this.#runWork();
    return forgotten;
  }

  // Tasks

  submit(submission: TaskSubmission): Outcome<PlacementAnswer & { isNew: boolean }> {
    return this.#unit.commit((nowMs) => this.#desk.submit(submission, nowMs));
  }

  submitBatch(submissions: readonly TaskSubmission[]): Outcome<PlacementAnswer & { isNew: boolean }>[] {
    return this.#unit.commit((nowMs) =>
      submissions.map((submission) => this.#desk.submit(submission, nowMs)),
    );
  }

  start(taskId: string, report: TaskStart, speaker: Speaker): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#desk.start(taskId, report, speaker, nowMs));
  }

  progress(taskId: string, report: TaskProgress, speaker: Speaker): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#desk.progress(taskId, report, speaker, nowMs));
  }

  complete(taskId: string, report: TaskCompletion, speaker: Speaker): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#desk.complete(taskId, report, speaker, nowMs));
  }

  fail(taskId: string, report: TaskFailure, speaker: Speaker): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#desk.fail(taskId, report, speaker, nowMs));
  }

  settleBatch(results: readonly TaskResult[], speaker: Speaker): Outcome<Task>[] {
    return this.#unit.commit((nowMs) => results.map((result) => this.#desk.settle(result, speaker, nowMs)));
  }

  cancel(taskId: string): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#desk.cancel(taskId, nowMs));
  }

  retry(taskId: string): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#desk.retry(taskId, nowMs));
  }

  setBackups(taskId: string, backups: readonly string[]): Outcome<Task> {
    return this.#unit.commit(() => this.#desk.setBackups(taskId, backups));
  }

  task(taskId: string): Outcome<Task> {
    return this.#unit.read((): Outcome<Task> => {
      const task = this.#ledger.tasks.store.find(taskId);
      return task === undefined ? noSuchTask() : ok(taskView(task));
    });
  }

  tasks(filter: TaskFilter, limit: number, cursor: string | null): Page<Task> {
    return this.#unit.read(() => {
      const found = this.#ledger.tasks.store.list(filter, numberOf(cursor), limit);
      return pageOfSlice(
        found,
        ({ task }) => taskView(task),
        ({ number }) => String(number),
      );
    });
  }

  /** The tasks an agent holds, most urgent first. @param isItself it reads them itself, which answers its doorbell */
  tasksOf(
    agentId: string,
    statuses: readonly TaskStatus[],
    isItself: boolean,
    limit: number,
    cursor: string | null,
  ): Page<Task> {
    return this.#unit.read(() => {
      if (isItself) this.#ledger.doorbells.answered(agentId);
      const found = this.#ledger.tasks.store.heldPage(agentId, statuses, placeOf(cursor), limit);
      return pageOfSlice(
        found,
        ({ task }) => taskView(task),
        ({ place }) => `${place.urgency}:${place.number}`,
      );
    });
  }

  decisions(taskId: string, limit: number, cursor: string | null): Outcome<Page<Decision>> {
    return this.#unit.read((): Outcome<Page<Decision>> => {
      if (this.#ledger.tasks.store.find(taskId) === undefined) return noSuchTask();
      const found = this.#ledger.decisions.list(taskId, numberOf(cursor) ?? 0, limit + 1);
      return ok(pageFrom(found, limit, ({ decision }) => decision));
    });
  }

  // Failures, events, the cluster

  failure(failureId: string): Outcome<Failure> {
    return this.#unit.read((): Outcome<Failure> => {
      const failure = this.#ledger.failures.find(failureId);
      return failure === undefined ? refuse("not_found", "there is no such failure on record") : ok(failure);
    });
  }

  failures(filter: FailureFilter, limit: number, cursor: string | null): Page<Failure> {
    return this.#unit.read(() => {
      const found = this.#ledger.failures.list(filter, numberOf(cursor), limit + 1);
      return pageFrom(found, limit, ({ failure }) => failure);
    });
  }

  events(afterId: number, limit: number): Event[] {
    return this.#unit.read(() => this.#ledger.events.after(afterId, limit));
  }

  lastEventId(): number {
    return this.#unit.read(() => this.#ledger.events.lastId());
  }

  groups(): string[] {
    return this.#unit.read(() => this.#ledger.roster.groups());
  }

  /** Without the locks, which the groups count. */
  status(): Omit<ClusterStatus, "locked_resources"> {
    return this.#unit.read((nowMs) => {
      const agents = this.#ledger.roster.all();
      const byStatus = { active: 0, suspect: 0, draining: 0, inactive: 0 };
      for (const agent of agents) byStatus[agent.status] += 1;
      const tasks = Object.fromEntries(
        TASK_STATUSES.map((status) => [status, this.#ledger.tasks.countOf(status)]),
      ) as Record<TaskStatus, number>;
      return {
        total_agents: agents.length,
        active_agents: byStatus.active + byStatus.suspect,
        inactive_agents: byStatus.inactive,
        agents_by_status: byStatus,
        tasks,
        failure_count: this.#ledger.failures.countSince(nowMs - DAY_MS),
        recent_failures: this.#ledger.failures.list({}, null, RECENT_FAILURES).map(({ failure }) => failure),
        groups: this.#ledger.roster.groups(),
        strategy: strategyFor(this.#ledger.settings.config.failover_config).name,
        config_version: this.#ledger.settings.version,
        safe_mode: { active: false, since: null, until: null, reason: null },
      };
    });
  }

  // Configuration

  config(): ConfigAnswer {
    return this.#unit.read(() => this.#configAnswer([]));
  }

  putConfig(body: unknown, ifMatch: string | null): Promise<Outcome<ConfigAnswer>> {
    return this.#changeConfig(replaceConfig, body, ifMatch);
  }

  patchConfig(body: unknown, ifMatch: string | null): Promise<Outcome<ConfigAnswer>> {
    return this.#changeConfig(patchConfig, body, ifMatch);
  }

  // The alarm

  /** @param scheduledMs when this alarm was due, if the platform tells */
  onAlarm(scheduledMs: number | null): void {
    this.#unit.alarmFired();
    this.#unit.commit((nowMs) => {
      const { store } = this.#ledger.tasks;
      const dueMs = Math.min(scheduledMs ?? nowMs, store.earliestDeadlineMs() ?? nowMs);
      if (isLateAlarm(Math.max(dueMs, this.#lastPauseMs), nowMs, store.shortestTimeoutMs())) {
        this.#creditPause("alarm_late", nowMs);
      }
      this.#timeOutTasks(nowMs);
      for (const task of store.backedOff(nowMs, ALARM_SLICE)) this.#retryBackedOff(task.id, nowMs);
      this.#ledger.tasks.dropFinishedBefore(nowMs - this.#ledger.settings.retentionMs, ALARM_SLICE);
      this.#ledger.unit.afterCommit(this.#ledger.doorbells.repeatDue(nowMs));
      this.#ledger.outbox.sendDue(nowMs);
    });
    this.#runWork();
  }

  #load(nowMs: number): void {
    const { meta, settings } = this.#ledger;
    if (meta.read("stream_id") === null) meta.write("stream_id", this.#host.randomId());
    settings.load();
    this.#ledger.load(nowMs);
    this.#failover.load();
    this.#placement.load();
    // A new file changes the configuration too, and the first one has to be told at all.
    if (meta.read("config_told") !== settings.etag) this.#postConfig();
    const storedBootId = meta.read("boot_id");
    if (storedBootId !== this.#host.bootId) meta.write("boot_id", this.#host.bootId);
    if (isRestart(storedBootId, this.#host.bootId)) this.#creditPause("restarted", nowMs);
  }

  #nextWorkMs(nowMs: number): number | null {
    const { tasks, outbox, doorbells, settings } = this.#ledger;
    const earliestFinishedMs = tasks.store.earliestFinishedMs();
    const isUnderWay = this.#failover.hasWork || this.#placement.hasWork;
    const instants = [
      isUnderWay ? nowMs + SAFETY_NET_MS : null,
      tasks.store.earliestDeadlineMs(),
      tasks.store.earliestBackOffMs(),
      earliestFinishedMs === null ? null : earliestFinishedMs + settings.retentionMs + 1,
      doorbells.nextWorkMs(),
      outbox.nextWorkMs(),
    ].filter((atMs) => atMs !== null);
    return instants.length === 0 ? null : Math.min(...instants);
  }

  #apply(message: Message, nowMs: number): string | null {
    switch (message.type) {
      case "agent_ended":
        this.#failover.agentEnded(message, nowMs);
        return null;
      case "load_reported": {
        const agent = this.#ledger.roster.find(message.agentId);
        if (agent?.incarnation === message.incarnation) {
          this.#ledger.roster.save({ ...agent, load: message.load });
        }
        return null;
      }
      case "events_noted":
        for (const event of message.events) this.#ledger.note(event, nowMs);
        return null;
      default:
        return `a coordinator knows no message "${message.type}"`;
    }
  }

  /** Runs what is under way for a while; the rest comes in an event of its own, so that requests pass in between. */
  #runWork(): void {
    for (let slice = 0; slice < SLICES_PER_EVENT && this.#hasWork(); slice++) {
      this.#unit.commit((nowMs) => {
        if (this.#failover.hasWork) this.#failover.runSlice(nowMs);
        else this.#placement.fillRest(nowMs);
      });
    }
    if (!this.#hasWork() || this.#isDeferred) return;
    this.#isDeferred = true;
    this.#host.defer(() => {
      this.#isDeferred = false;
      this.#runWork();
    });
  }

  #hasWork(): boolean {
    return this.#unit.read(() => this.#failover.hasWork || this.#placement.hasWork);
  }

  #timeOutTasks(nowMs: number): void {
    for (const task of this.#ledger.tasks.store.overdue(nowMs, ALARM_SLICE)) {
      // An earlier one of the slice may have changed it.
      const current = this.#ledger.tasks.store.find(task.id);
      const deadline = current && taskDeadline(current);
      if (current !== undefined && deadline && deadline.atMs <= nowMs) {
        this.#desk.timeOut(current, deadline.kind, nowMs);
      }
    }
  }

  #retryBackedOff(taskId: string, nowMs: number): void {
    const task = this.#ledger.tasks.store.find(taskId);
    if (task === undefined || task.status !== "pending") return;
    this.#placement.place(task, { ...task, notBeforeMs: null }, "task_failed", nowMs);
  }

  /** We were away: every running deadline of a task is given whole again. */
  #creditPause(cause: PauseCause, nowMs: number): void {
    this.#lastPauseMs = nowMs;
    const tasks = this.#ledger.tasks.store.withDeadline();
    if (tasks.length === 0) return;
    for (const task of tasks) this.#ledger.saveTask(task, creditedTask(task, nowMs));
    this.#ledger.note(
      { type: "coordinator_paused", subject: "coordinator", data: { cause, tasks: tasks.length } },
      nowMs,
    );
  }

  async #changeConfig(
    change: typeof patchConfig,
    body: unknown,
    ifMatch: string | null,
  ): Promise<Outcome<ConfigAnswer>> {
    const posted = this.#unit.commit((nowMs): Outcome<{ receiver: Address; number: number }[]> => {
      const { settings } = this.#ledger;
      if (ifMatch !== null && ifMatch !== "*" && ifMatch !== settings.etag) {
        return refuse("config_changed", "the configuration changed meanwhile; read it again", {
          etag: settings.etag,
        });
      }
      const changed = change(settings.base, settings.overrides, body);
      if (!changed.ok) return { ok: false, problem: invalidConfig(changed) };
      const agingMs = settings.agingMs;
      settings.store(changed.config, changed.overrides);
      if (settings.agingMs !== agingMs) this.#ledger.tasks.store.reorder(settings.agingMs);
      this.#ledger.note(
        { type: "config.changed", subject: "config", data: { version: settings.version } },
        nowMs,
      );
      return ok(this.#postConfig());
    });
    if (!posted.ok) return posted;
    const heard = await Promise.all(
      posted.value.map(async ({ receiver, number }) => ({
        receiver,
        isHeard: await this.#ledger.outbox.delivered(receiver, number, HEARD_LIMIT_MS),
      })),
    );
    const pendingGroups = heard
      .filter(({ receiver, isHeard }) => !isHeard && receiver.startsWith("group/"))
      .map(({ receiver }) => receiver.slice("group/".length));
    return ok(this.#configAnswer(pendingGroups));
  }

  #postConfig(): { receiver: Address; number: number }[] {
    const { meta, outbox, roster, settings } = this.#ledger;
    meta.write("config_told", settings.etag);
    const notifier = outbox.post("notifier", {
      type: "configure_notifier",
      version: settings.version,
      notification: settings.config.failure_notification,
    });
    const groups = roster.groups().map((group) => {
      const receiver: Address = `group/${group}`;
      return {
        receiver,
        number: outbox.post(receiver, {
          type: "configure_group",
          settings: settings.forGroups(),
        }),
      };
    });
    return [{ receiver: "notifier", number: notifier }, ...groups];
  }

  #configAnswer(pendingGroups: string[]): ConfigAnswer {
    const { settings } = this.#ledger;
    return {
      config: redactConfig(settings.config),
      etag: settings.etag,
      version: settings.version,
      pendingGroups,
    };
  }
}

function noSuchAgent(): Outcome<never> {
  return refuse("not_found", "there is no such agent in this cluster");
}

function invalidConfig(change: Extract<ConfigChange, { ok: false }>): Problem {
  return {
    code: "invalid_request",
    detail: "the configuration is not valid; nothing was changed",
    errors: change.errors,
  };
}

/** A cursor is a number in disguise; one that is not finds nothing special. */
function numberOf(cursor: string | null): number | null {
  const number = Number(cursor);
  return cursor === null || !Number.isSafeInteger(number) ? null : number;
}

function placeOf(cursor: string | null): PlaceInLine | null {
  const [urgency, number] = (cursor ?? "").split(":").map(Number);
  return Number.isFinite(urgency) && Number.isFinite(number)
    ? { urgency: urgency ?? 0, number: number ?? 0 }
    : null;
}

function pageOfSlice<Row, Item>(
  { items, hasMore }: Slice<Row>,
  view: (row: Row) => Item,
  cursorOf: (row: Row) => string,
): Page<Item> {
  const last = items.at(-1);
  return { items: items.map(view), next_cursor: hasMore && last !== undefined ? cursorOf(last) : null };
}

/** @param found one more than `limit` if there is a further page */
function pageFrom<Row extends { number: number }, Item>(
  found: readonly Row[],
  limit: number,
  view: (row: Row) => Item,
): Page<Item> {
  const page = found.slice(0, limit);
  return {
    items: page.map(view),
    next_cursor: found.length > limit ? String(page.at(-1)?.number) : null,
  };
}
