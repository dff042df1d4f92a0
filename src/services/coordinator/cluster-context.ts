/**
 * The state that the parts of a coordinator share: the records of a cluster, and what every change of them causes
 * (events, wake-ups, messages to the notifier). Each part takes only what it uses.
 */
import type { Config } from "../../contract/config.ts";
import type { EventDraft } from "../../contract/event.ts";
import type { Failure } from "../../contract/failure.ts";
import { instant } from "../../contract/instant.ts";
import type { FailureSubject } from "../../domain/incident/incident-entry.ts";
import type { TaskRecord } from "../../domain/task.ts";
import type { AgentRecovered } from "../../protocol/messages.ts";
import { EVENTS_TOPIC, taskTopic } from "../../protocol/wake-topics.ts";
import { AttemptStore } from "../../storage/coordinator/attempts.ts";
import { ConfigRevisionStore } from "../../storage/coordinator/config-revisions.ts";
import { DecisionStore } from "../../storage/coordinator/decisions.ts";
import { EventStore } from "../../storage/coordinator/events.ts";
import { FailureStore } from "../../storage/coordinator/failures.ts";
import { LateResultStore } from "../../storage/coordinator/late-results.ts";
import { ReassignmentJobStore } from "../../storage/coordinator/reassignment-jobs.ts";
import { Counter } from "../../storage/counter.ts";
import { MetaStore } from "../../storage/meta.ts";
import type { Host } from "../host.ts";
import { Outbox } from "../outbox.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { AgentRegistry } from "./agents/agent-registry.ts";
import { Wakeups } from "./agents/wakeups.ts";
import { ClusterSettings } from "./config/cluster-settings.ts";
import { TaskCache } from "./tasks/task-cache.ts";
import { TaskViews } from "./tasks/task-views.ts";

/** An object may hold 10 GB. Below this size there is room to finish the tasks that were accepted. */
const SIZE_LIMIT_BYTES = 8_000_000_000;

/** Released locks that get an event each. */
const LOCK_EVENTS = 100;

export class ClusterContext {
  readonly host: Host;
  readonly unit: UnitOfWork;
  readonly meta: MetaStore;
  readonly settings: ClusterSettings;
  readonly agents: AgentRegistry;
  readonly tasks: TaskCache;
  readonly taskViews: TaskViews;
  readonly attempts: AttemptStore;
  readonly lateResults: LateResultStore;
  readonly decisions: DecisionStore;
  readonly reassignmentJobs: ReassignmentJobStore;
  readonly failures: FailureStore;
  readonly events: EventStore;
  readonly configRevisions: ConfigRevisionStore;
  readonly incarnations: Counter;
  readonly outbox: Outbox;
  readonly wakeups: Wakeups;
  #wakesStreams = false;

  /** @param base the configuration file's content */
  constructor(host: Host, unit: UnitOfWork, base: Config) {
    this.host = host;
    this.unit = unit;
    this.meta = new MetaStore(host.sql);
    this.settings = new ClusterSettings(base, this.meta, host.log);
    this.agents = new AgentRegistry(host.sql);
    this.tasks = new TaskCache(host.sql, this.agents);
    this.taskViews = new TaskViews(this.agents, this.tasks);
    this.attempts = new AttemptStore(host.sql);
    this.lateResults = new LateResultStore(host.sql);
    this.decisions = new DecisionStore(host.sql);
    this.reassignmentJobs = new ReassignmentJobStore(host.sql);
    this.failures = new FailureStore(host.sql);
    this.events = new EventStore(host.sql);
    this.configRevisions = new ConfigRevisionStore(host.sql);
    this.incarnations = new Counter(host.sql, "incarnation");
    this.outbox = new Outbox({ host, unit, meta: this.meta }, ({ receiver, messageType, reason }, nowMs) => {
      host.log.line("error", "message_dead_lettered", { receiver, message_type: messageType, reason });
      this.recordEvent(
        { type: "message.dead_lettered", subject: receiver, data: { message_type: messageType, reason } },
        nowMs,
      );
    });
    this.wakeups = new Wakeups({ host, unit, agents: this.agents, tasks: this.tasks });
  }

  load(nowMs: number): void {
    this.#wakesStreams = false;
    if (this.meta.read("stream_id") === null) this.meta.write("stream_id", this.host.randomId());
    this.settings.load();
    this.incarnations.reload();
    this.agents.load(this.tasks.store.held.countByAgent());
    this.tasks.load();
    this.outbox.load();
    this.wakeups.load(nowMs);
  }

  /** While storage is full, nothing new is accepted. */
  get isFull(): boolean {
    return this.host.sql.sizeBytes() >= SIZE_LIMIT_BYTES;
  }

  saveTask(before: TaskRecord | null, after: TaskRecord): void {
    this.tasks.save(before, after, this.settings.agingMs);
  }

  /**
   * Adds an event to the log; streams that follow the log are woken after the commit.
   * @param atMs when it happened: earlier than now if another object reports it. The log's order is that of the ids
   */
  recordEvent(event: EventDraft, atMs: number): void {
    this.events.append(event, instant(atMs));
    if (this.#wakesStreams) return;
    this.#wakesStreams = true;
    this.unit.afterCommit(() => {
      this.#wakesStreams = false;
      this.host.wakeups.wake(EVENTS_TOPIC);
    });
  }

  /**
   * Records a failure and sends it to the notifier.
   * @param about null if the failure is an agent's
   */
  recordFailure(failure: Failure, about: FailureSubject | null, nowMs: number): void {
    this.failures.insert(failure, nowMs);
    this.announceFailure(failure, nowMs);
    this.outbox.send("notifier", {
      type: "failure_recorded",
      stage: "recorded",
      failure,
      ...(about === null ? {} : { about }),
    });
  }

  /** Adds the event of a failure that was recorded, or whose record has changed its type. */
  announceFailure({ id, agent_id, failure_type, severity, message }: Failure, nowMs: number): void {
    const data = { agent_id, failure_type, severity, message };
    this.recordEvent({ type: "failure.recorded", subject: id, data }, nowMs);
  }

  /** Adds an event for each of the first locks that an agent lost; the record of its failure lists all. */
  announceReleases(holder: string, resources: readonly string[], atMs: number): void {
    for (const resource of resources.slice(0, LOCK_EVENTS)) {
      this.recordEvent({ type: "lock.released", subject: resource, data: { holder } }, atMs);
    }
  }

  /** An agent that may have failed is back, or has left: the notifier resolves its incidents. */
  reportRecovery(agentId: string, by: AgentRecovered["by"], nowMs: number): void {
    this.outbox.send("notifier", { type: "agent_recovered", agentId, by, atMs: nowMs });
  }

  /** A task that had a failure of its own is done or retried: the notifier resolves its incidents. */
  reportSettled(taskId: string, nowMs: number): void {
    this.outbox.send("notifier", { type: "task_settled", taskId, atMs: nowMs });
  }

  /** The task has ended: callers that wait for it are woken after the commit. */
  announceEnd(taskId: string): void {
    this.unit.afterCommit(() => this.host.wakeups.wake(taskTopic(taskId)));
  }
}
