/**
 * What a coordinator does: the authority for agent ids and incarnations, tasks, decisions,
 * failures, configuration and the event log of one cluster. This class is the door: every
 * call is one commit, and the parts behind it do the work.
 *
 *   Upkeep (the alarm), Registration, Drains, Suspects, Failover --> Moves --> Losses --> Placement --> Ledger
 *   TaskDesk, Reports, LateResults --> Completions --> Losses; Foresight --> Failover
 *   Queries, ConfigDesk --> Ledger (records, outbox, doorbells)
 */
import type { Agent, DrainRequest, Registration as RegistrationBody } from "../../contract/agent.ts";
import type { Config } from "../../contract/config.ts";
import type { FailoverSimulation, Readiness, SimulatedFailover } from "../../contract/failover-simulation.ts";
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
import type { BroadcastRequested, OutboxMessage } from "../../protocol/messages.ts";
import type { TaskReport } from "../../protocol/object-calls.ts";
import { COORDINATOR_MIGRATIONS } from "../../storage/coordinator/schema.ts";
import type { Host } from "../host.ts";
import { Inbox } from "../inbox.ts";
import { UnitOfWork } from "../unit-of-work.ts";
import { Drains } from "./agents/drains.ts";
import { Registration } from "./agents/registration.ts";
import { Suspects } from "./agents/suspects.ts";
import { ClusterContext } from "./cluster-context.ts";
import { ConfigService } from "./config/config-service.ts";
import { AttemptLosses } from "./failover/attempt-loss.ts";
import { Failover } from "./failover/failover.ts";
import { FailoverSimulator } from "./failover/failover-simulation.ts";
import { TaskReassigner } from "./failover/task-reassigner.ts";
import { Maintenance } from "./maintenance.ts";
import { Queries } from "./queries.ts";
import { Completions } from "./tasks/completions.ts";
import { isKept, LateResults } from "./tasks/late-results.ts";
import { Placement } from "./tasks/placement.ts";
import { TaskCommands } from "./tasks/task-commands.ts";
import { TaskReports } from "./tasks/task-reports.ts";
import { taskStateOf } from "./views.ts";

/** How long a registration waits for the group to watch over the agent. */
const HEARD_LIMIT_MS = 5000;

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
  readonly #suspects: Suspects;
  readonly #failover: Failover;
  readonly #maintenance: Maintenance;
  readonly #simulator: FailoverSimulator;
  #isDeferred = false;

  /** @param base the configuration file's content */
  constructor(host: Host, base: Config) {
    this.#host = host;
    this.#unit = new UnitOfWork(host, {
      migrations: COORDINATOR_MIGRATIONS,
      load: (nowMs) => {
        this.#context.load(nowMs);
        reassigner.load();
        placement.load();
        this.config.load();
        this.#maintenance.load(nowMs);
        // What a crash left under way goes on at once.
        this.#unit.afterCommit(() => this.#deferWork());
      },
      nextWorkMs: (nowMs) => this.#maintenance.nextWorkMs(nowMs),
    });
    this.#context = new ClusterContext(host, this.#unit, base);
    const placement = new Placement(this.#context);
    this.#inbox = new Inbox(host, this.#unit, (message, nowMs) => this.#apply(message, nowMs));
    const losses = new AttemptLosses(this.#context, placement);
    const reassigner = new TaskReassigner(this.#context, placement, losses);
    this.#drains = new Drains(this.#context, placement, reassigner);
    this.#suspects = new Suspects(this.#context, placement, reassigner);
    this.#registration = new Registration(this.#context, placement, this.#drains);
    this.#commands = new TaskCommands(this.#context, placement, losses);
    const completions = new Completions(this.#context, losses);
    this.#lateResults = new LateResults(this.#context, placement, losses, completions);
    this.#reports = new TaskReports(this.#context, placement, losses, completions, this.#lateResults);
    this.#failover = new Failover(this.#context, reassigner);
    this.#maintenance = new Maintenance(this.#context, placement, losses, this.#failover, this.#drains);
    this.#simulator = new FailoverSimulator(this.#context, this.#failover);
    this.queries = new Queries(this.#context, placement);
    this.config = new ConfigService(this.#context, this.#failover);
  }

  // From the groups

  /** Applies the whole parcel before anything reassigner: agents that failed together do not inherit from each other. */
  receive(parcel: MessageBatch): Receipt {
    const receipt = this.#inbox.receive(parcel);
    this.#runWork();
    return receipt;
  }

  // Agents

  /** Resolves once the group watches over the new incarnation. */
  async register(
    { group, agentId }: { group: string; agentId: string },
    body: RegistrationBody,
    principal: Principal,
  ): Promise<Outcome<{ agent: Agent; isNew: boolean }>> {
    const registered = this.#unit.commit((nowMs) =>
      this.#registration.register({ group, agentId, body, principal }, nowMs),
    );
    if (!registered.ok) return registered;
    this.#runWork();
    const { agent, admission, isNew } = registered.value;
    const isHeard = await this.#context.outbox.delivered(`group/${group}`, admission.number, HEARD_LIMIT_MS);
    if (!isHeard)
      return refuse("unavailable", "the group did not answer in time; it may have been told: register again");
    return ok({ agent, isNew });
  }

  /**
   * Refused as `not_found`, `session_expired` or `invalid_transition` (it is inactive), and then nothing is stored.
   * @param principal the agent itself, or an operator
   */
  drain(agentId: string, request: DrainRequest, principal: Principal): Outcome<Agent> {
    const drained = this.#unit.commit((nowMs) => this.#drains.drain(agentId, request, principal, nowMs));
    if (!drained.ok) return drained;
    this.#runWork();
    return this.queries.agent(agentId);
  }

  /**
   * Refused as `not_found`, `session_expired` or `forbidden` (an operator's drain), and then nothing is stored.
   * @param principal the agent itself, or an operator
   */
  resume(agentId: string, principal: Principal): Outcome<Agent> {
    const resumed = this.#unit.commit((nowMs) => this.#drains.resume(agentId, principal, nowMs));
    if (!resumed.ok) return resumed;
    this.#runWork();
    return this.queries.agent(agentId);
  }

  /** Drops an agent that is gone; what it still holds reassigner on. */
  forget(agentId: string): Outcome<null> {
    const forgotten = this.#unit.commit((nowMs) => this.#failover.forget(agentId, nowMs));
    this.#runWork();
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

  /** Refused as a progress is. A repeat changes nothing. */
  start(taskId: string, report: TaskStart, principal: Principal): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#reports.start(taskId, report, principal, nowMs));
  }

  /**
   * Refused as `not_found`, `forbidden`, `stale_attempt`, `invalid_transition` (it waits for an agent, or has ended)
   * or `session_expired`, and then nothing is stored.
   */
  progress(taskId: string, report: TaskProgress, principal: Principal): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#reports.progress(taskId, report, principal, nowMs));
  }

  /**
   * Refused as `not_found`, `forbidden`, `stale_attempt` or `invalid_transition` (it has ended). With one of the last two
   * the result may be stored all the same, and `late_result` says so.
   */
  complete(taskId: string, report: TaskCompletion, principal: Principal): Outcome<Task> {
    const answered = this.#unit.commit((nowMs): Outcome<Task> | { kept: Outcome<Task> } => {
      const outcome = this.#reports.complete(taskId, report, principal, nowMs);
      // A refusal is rolled back, unless the refused result was kept.
      return isKept(outcome) ? { kept: outcome } : outcome;
    });
    return "kept" in answered ? answered.kept : answered;
  }

  /**
   * Refused as `not_found`, `forbidden`, `stale_attempt` or `invalid_transition` (it has ended), and then nothing is
   * stored.
   */
  fail(taskId: string, report: TaskFailure, principal: Principal): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#reports.fail(taskId, report, principal, nowMs));
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
    return this.#unit.commit(() => this.#commands.setBackups(taskId, backups));
  }

  // Failures tried before they happen

  simulateFailover(simulation: FailoverSimulation): Outcome<SimulatedFailover> {
    return this.#unit.dryRun((nowMs) => this.#simulator.simulateFailover(simulation, nowMs));
  }

  readiness(): Readiness {
    return this.#unit.read(() => this.#simulator.readiness());
  }

  // The alarm

  /** @param scheduledMs when this alarm was due, if the platform tells */
  onAlarm(scheduledMs: number | null): void {
    this.#unit.alarmFired();
    this.#unit.commit((nowMs) => this.#maintenance.run(scheduledMs, nowMs));
    this.#runWork();
  }

  #apply(message: OutboxMessage, nowMs: number): string | null {
    switch (message.type) {
      case "agent_ended":
        this.#failover.agentEnded(message, nowMs);
        return null;
      case "agent_suspect":
        this.#suspects.suspected(message, nowMs);
        return null;
      case "agent_cleared":
        this.#suspects.cleared(message, nowMs);
        return null;
      case "agents_silent":
        for (const { agentId, incarnation, untilMs } of message.agents) {
          this.#context.agents.markSilent(agentId, incarnation, untilMs);
        }
        return null;
      case "load_reported": {
        const agent = this.#context.agents.find(message.agentId);
        if (agent?.incarnation === message.incarnation) {
          this.#context.agents.save({ ...agent, load: message.load });
        }
        return null;
      }
      case "events_recorded":
        for (const event of message.events) this.#context.recordEvent(event, message.atMs);
        return null;
      case "broadcast_requested":
        this.#tellAgents(message);
        return null;
      default:
        return `a coordinator knows no message "${message.type}"`;
    }
  }

  #tellAgents({ groups, ...message }: BroadcastRequested): void {
    for (const group of this.#context.agents.groups()) {
      if (groups !== null && !groups.includes(group)) continue;
      this.#context.outbox.send(`group/${group}`, { ...message, type: "broadcast" });
    }
  }

  /** Does a slice of what is under way; the rest comes in events of its own, so that requests pass in between. */
  #runWork(): void {
    const hasWork = () => this.#unit.read(() => this.#maintenance.hasWork);
    if (hasWork()) this.#unit.commit((nowMs) => this.#maintenance.work(nowMs));
    this.#deferWork();
  }

  #deferWork(): void {
    if (this.#isDeferred || !this.#unit.read(() => this.#maintenance.hasWork)) return;
    this.#isDeferred = true;
    this.#host.defer(() => {
      this.#isDeferred = false;
      this.#runWork();
    });
  }
}
