/**
 * The service of a coordinator: the authority for agent ids and incarnations, tasks, decisions, failures, configuration
 * and the event log of one cluster. This class is the entry point. Each call is one commit; the parts do the work.
 *
 *   agents/    Registration, Drains, Suspects, Wakeups
 *   tasks/     TaskCommands, TaskReports, LateResults -> Completions, TaskEndings, SlotFiller -> Placement
 *   failover/  Failover -> TaskReassigner -> AttemptLosses -> Placement
 *   Maintenance (the alarm), MessageHandler (messages of groups), BackgroundWork (slices), Queries, ConfigService
 *
 * All parts share the ClusterContext.
 */
import type { Agent, DrainRequest, Registration as RegistrationBody } from "../../contract/agent.ts";
import type { Config } from "../../contract/config.ts";
import type { FailoverSimulation, SinglePoints } from "../../contract/placement/failover-simulation.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import type {
  Placement as PlacementAnswer,
  Task,
  TaskCompletion,
  TaskFailure,
  TaskProgress,
  TaskResult,
  TaskStart,
  TaskState,
  TaskSubmission,
} from "../../contract/task.ts";
import type { Principal } from "../../domain/principal.ts";
import type { MessageBatch, Receipt } from "../../protocol/message-batch.ts";
import type { TaskReport } from "../../protocol/object-calls.ts";
import { COORDINATOR_MIGRATIONS } from "../../storage/coordinator/schema.ts";
import type { Host } from "../host.ts";
import { Inbox } from "../inbox.ts";
import { UnitOfWork } from "../unit-of-work.ts";
import { Drains } from "./agents/drains.ts";
import {
  type AskedSession,
  type Registered,
  Registration,
  type RegistrationRequest,
} from "./agents/registration.ts";
import { RunningTaskReconciler } from "./agents/running-task-reconciler.ts";
import { Suspects } from "./agents/suspects.ts";
import { ClusterContext } from "./cluster-context.ts";
import { ConfigService } from "./config/config-service.ts";
import { AgentRestarts } from "./failover/agent-restarts.ts";
import { AttemptLosses } from "./failover/attempt-loss.ts";
import { Failover } from "./failover/failover.ts";
import { FailoverSimulator, type SimulatedReassignment } from "./failover/failover-simulation.ts";
import { TaskReassigner } from "./failover/task-reassigner.ts";
import { Maintenance } from "./maintenance.ts";
import { MessageHandler } from "./message-handler.ts";
import { Queries } from "./queries.ts";
import { BackgroundWork } from "./sliced-work.ts";
import { Completions } from "./tasks/completions.ts";
import { isKept, LateResults } from "./tasks/late-results.ts";
import { Placement } from "./tasks/placement.ts";
import { QueueWarnings } from "./tasks/queue-warnings.ts";
import { SlotFiller } from "./tasks/slot-filler.ts";
import { TaskCommands } from "./tasks/task-commands.ts";
import { TaskEndings } from "./tasks/task-endings.ts";
import { TaskReports } from "./tasks/task-reports.ts";
import { taskStateOf } from "./wire-views.ts";

/** How long a registration waits until the group has the new session. */
const DELIVERY_WAIT_MS = 5000;

/** How often a registration asks the group again, since another one came meanwhile. */
const ASK_TRIES = 3;

export class Coordinator {
  readonly queries: Queries;
  readonly config: ConfigService;
  readonly #host: Host;
  readonly #unit: UnitOfWork;
  readonly #context: ClusterContext;
  readonly #inbox: Inbox;
  readonly #registration: Registration;
  readonly #commands: TaskCommands;
  readonly #reports: TaskReports;
  readonly #lateResults: LateResults;
  readonly #drains: Drains;
  readonly #failover: Failover;
  readonly #background: BackgroundWork;
  readonly #maintenance: Maintenance;
  readonly #simulator: FailoverSimulator;

  /** @param base the configuration file's content */
  constructor(host: Host, base: Config) {
    this.#host = host;
    this.#unit = new UnitOfWork(host, {
      migrations: COORDINATOR_MIGRATIONS,
      load: (nowMs) => {
        context.load(nowMs);
        reassigner.load();
        slots.load();
        queueWarnings.load();
        this.config.load(nowMs);
        this.#maintenance.load(nowMs);
        // Work that a crash interrupted continues at once.
        this.#unit.afterCommit(() => this.#background.continueLater());
      },
      nextWorkMs: (nowMs) => this.#maintenance.nextWorkMs(nowMs),
    });
    const context = new ClusterContext(host, this.#unit, base);
    this.#context = context;
    const placement = new Placement(context);
    const slots = new SlotFiller(context, placement);
    const endings = new TaskEndings(context, slots);
    const losses = new AttemptLosses(context, { placement, slots, endings });
    const completions = new Completions(context, endings);
    this.#lateResults = new LateResults(context, { completions, slots });
    this.#commands = new TaskCommands(context, { placement, endings });
    this.#reports = new TaskReports(context, {
      slots,
      losses,
      endings,
      completions,
      lateResults: this.#lateResults,
    });
    const reassigner = new TaskReassigner(context, { placement, losses });
    this.#failover = new Failover(context, reassigner);
    this.#simulator = new FailoverSimulator(context, this.#failover);
    this.#drains = new Drains(context, { slots, reassigner });
    const runningTasks = new RunningTaskReconciler(context, { placement, losses });
    const restarts = new AgentRestarts(context, this.#failover);
    this.#registration = new Registration(context, { runningTasks, drains: this.#drains, slots, restarts });
    const suspects = new Suspects(context, { slots, reassigner });
    const messages = new MessageHandler(context, { failover: this.#failover, suspects, restarts });
    this.#inbox = new Inbox(host, this.#unit, (message, nowMs) => messages.apply(message, nowMs));
    this.#background = new BackgroundWork(host, this.#unit, { failover: this.#failover, slots });
    const queueWarnings = new QueueWarnings(context);
    this.#maintenance = new Maintenance(context, {
      background: this.#background,
      drains: this.#drains,
      losses,
      placement,
      queueWarnings,
    });
    this.queries = new Queries(context, placement);
    this.config = new ConfigService(context, this.#failover);
  }

  // From the groups

  /** Applies the whole batch before any task is reassigned: agents that failed together get no tasks of each other. */
  receive(batch: MessageBatch): Receipt {
    const receipt = this.#inbox.receive(batch);
    this.#background.run();
    return receipt;
  }

  // Agents

  /** Resolves once the group monitors the new incarnation. */
  async register(
    { group, agentId }: { group: string; agentId: string },
    body: RegistrationBody,
    principal: Principal,
  ): Promise<Outcome<{ agent: Agent; isNew: boolean }>> {
    const request = { group, agentId, body, principal };
    // Without a live incarnation, everything happens in this event.
    const asked = this.#replacedBy(request) === null ? ok(null) : await this.#askAboutReplaced(request);
    if (!asked.ok) return asked;
    const registered = this.#register(request, asked.value);
    if (!registered.ok) return registered;
    this.#background.run();
    const { agent, isNew, messageNumber } = registered.value;
    const { outbox } = this.#context;
    const isDelivered = await outbox.delivered(`group/${group}`, messageNumber, DELIVERY_WAIT_MS);
    if (isDelivered) return ok({ agent, isNew });
    return refuse(
      "unavailable",
      "the group did not answer in time; the agent may be registered all the same: register again",
    );
  }

  /** Asks the group about the live incarnation that a registration would end; null if there is none to ask about. */
  async #askAboutReplaced(request: RegistrationRequest): Promise<Outcome<AskedSession | null>> {
    const { group, agentId } = request;
    // Another registration may come while the group is asked.
    for (let tries = 0; tries < ASK_TRIES; tries++) {
      const incarnation = this.#replacedBy(request);
      if (incarnation === null) return ok(null);
      try {
        const state = await this.#host.peers.sessionState(group, agentId);
        if (this.#replacedBy(request) === incarnation) return ok({ incarnation, state });
      } catch {
        break;
      }
    }
    return refuse(
      "unavailable",
      "the group of the live agent did not answer; nothing was changed: register again",
    );
  }

  #replacedBy(request: RegistrationRequest): number | null {
    return this.#unit.read(() => this.#registration.replaces(request));
  }

  #register(request: RegistrationRequest, asked: AskedSession | null): Outcome<Registered> {
    // Wrapped: that a process was refused is kept.
    const { refusal } = this.#unit.commit((nowMs) => ({
      refusal: asked === null ? null : this.#registration.refuseDuplicate(request, asked, nowMs),
    }));
    return refusal ?? this.#unit.commit((nowMs) => this.#registration.register(request, asked, nowMs));
  }

  /**
   * Refused as `not_found`, `session_expired` or `invalid_transition` (the agent is inactive); then nothing is stored.
   * @param principal the agent itself, or an operator
   */
  drain(agentId: string, request: DrainRequest, principal: Principal): Outcome<Agent> {
    const drained = this.#unit.commit((nowMs) => this.#drains.drain({ agentId, request, principal }, nowMs));
    if (!drained.ok) return drained;
    this.#background.run();
    return this.queries.agent(agentId);
  }

  /**
   * Refused as `not_found`, `session_expired` or `forbidden` (an operator's drain); then nothing is stored.
   * @param principal the agent itself, or an operator
   */
  resume(agentId: string, principal: Principal): Outcome<Agent> {
    const resumed = this.#unit.commit((nowMs) => this.#drains.resume(agentId, principal, nowMs));
    if (!resumed.ok) return resumed;
    this.#background.run();
    return this.queries.agent(agentId);
  }

  /** Removes an inactive agent; the tasks that it still holds are reassigned. */
  forget(agentId: string): Outcome<null> {
    const forgotten = this.#unit.commit((nowMs) => this.#failover.forget(agentId, nowMs));
    this.#background.run();
    return forgotten;
  }

  // Tasks

  submit(submission: TaskSubmission): Outcome<PlacementAnswer & { isNew: boolean }> {
    return this.#unit.commit((nowMs) => this.#commands.submit(submission, nowMs));
  }

  submitBatch(submissions: readonly TaskSubmission[]): Outcome<PlacementAnswer & { isNew: boolean }>[] {
    return this.#unit.commit((nowMs) =>
      submissions.map((submission) => this.#commands.submit(submission, nowMs)),
    );
  }

  /** Refused like a progress. A repeat changes nothing. */
  start(taskId: string, body: TaskStart, principal: Principal): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#reports.start({ taskId, body, principal }, nowMs));
  }

  /**
   * Refused as `not_found`, `forbidden`, `stale_attempt`, `invalid_transition` (the task waits for an agent, or has
   * ended) or `session_expired`; then nothing is stored.
   */
  progress(taskId: string, body: TaskProgress, principal: Principal): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#reports.progress({ taskId, body, principal }, nowMs));
  }

  /**
   * Refused as `not_found`, `forbidden`, `stale_attempt` or `invalid_transition` (the task has ended). With one of the
   * last two the result may be stored all the same; then `late_result` says so.
   */
  complete(taskId: string, body: TaskCompletion, principal: Principal): Outcome<Task> {
    const answered = this.#unit.commit((nowMs): Outcome<Task> | { kept: Outcome<Task> } => {
      const outcome = this.#reports.complete({ taskId, body, principal }, nowMs);
      // A refusal is rolled back, unless the refused result was kept.
      return isKept(outcome) ? { kept: outcome } : outcome;
    });
    return "kept" in answered ? answered.kept : answered;
  }

  /**
   * Refused as `not_found`, `forbidden`, `stale_attempt` or `invalid_transition` (the task has ended); then nothing is
   * stored.
   */
  fail(taskId: string, body: TaskFailure, principal: Principal): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#reports.fail({ taskId, body, principal }, nowMs));
  }

  settleBatch(results: readonly TaskResult[], principal: Principal): Outcome<Task>[] {
    return this.#unit.commit((nowMs) =>
      results.map((result) => this.#reports.settle(result, principal, nowMs)),
    );
  }

  /** Reports of many holders, as one change; an answer each, in order. */
  reportAll(reports: readonly TaskReport[]): Outcome<TaskState>[] {
    return this.#unit.commit((nowMs) =>
      reports.map((report) => {
        const outcome = this.#reports.apply(report, nowMs);
        return outcome.ok ? ok(taskStateOf(outcome.value)) : outcome;
      }),
    );
  }

  acceptLateResult(taskId: string, attempt: number): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#lateResults.accept(taskId, attempt, nowMs));
  }

  cancel(taskId: string): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#commands.cancel(taskId, nowMs));
  }

  retry(taskId: string): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#commands.retry(taskId, nowMs));
  }

  setBackups(taskId: string, backups: readonly string[]): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#commands.setBackups(taskId, backups, nowMs));
  }

  // Simulated failures

  simulateFailover(simulation: FailoverSimulation): Outcome<SimulatedReassignment> {
    return this.#unit.dryRun((nowMs) => this.#simulator.simulateFailover(simulation, nowMs));
  }

  readiness(): SinglePoints {
    return this.#unit.read(() => this.#simulator.readiness());
  }

  // The alarm

  /** @param scheduledMs when this alarm was due, if the platform tells */
  onAlarm(scheduledMs: number | null): void {
    this.#unit.alarmFired();
    this.#unit.commit((nowMs) => this.#maintenance.run(scheduledMs, nowMs));
    this.#background.run();
  }
}
