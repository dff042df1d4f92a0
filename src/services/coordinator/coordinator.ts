/**
 * What a coordinator does: the authority for agent ids and incarnations, tasks, decisions,
 * failures, configuration and the event log of one cluster. This class is the door: every
 * call is one commit, and the parts behind it do the work.
 *
 *   Upkeep (the alarm), Registration, TaskDesk, Reports, Failover --> Losses --> Placement --> Ledger
 *   Foresight --> Failover; Queries, ConfigDesk --> Ledger (records, outbox, doorbells)
 */
import type { Agent, Registration as RegistrationBody } from "../../contract/agent.ts";
import type { Config } from "../../contract/config.ts";
import type { FailoverSimulation, Readiness, SimulatedFailover } from "../../contract/foresight.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import type {
  Placement as PlacementAnswer,
  Task,
  TaskCompletion,
  TaskFailure,
  TaskProgress,
  TaskResult,
  TaskStart,
  TaskSubmission,
} from "../../contract/task.ts";
import type { Message, TellAgents } from "../../domain/message.ts";
import { COORDINATOR_MIGRATIONS } from "../../storage/coordinator/schema.ts";
import type { Host, Parcel, Receipt } from "../host.ts";
import { Inbox } from "../inbox.ts";
import { UnitOfWork } from "../unit-of-work.ts";
import { ConfigDesk } from "./config-desk.ts";
import { Failover } from "./failover.ts";
import { Foresight } from "./foresight.ts";
import { Ledger } from "./ledger.ts";
import { Losses } from "./losses.ts";
import { Placement } from "./placement.ts";
import { Queries } from "./queries.ts";
import { type Registrar, Registration } from "./registration.ts";
import { Reports, type Speaker } from "./reports.ts";
import { TaskDesk } from "./task-desk.ts";
import { Upkeep } from "./upkeep.ts";

/** How long a registration waits for the group to watch over the agent. */
const HEARD_LIMIT_MS = 5000;

export class Coordinator {
  readonly queries: Queries;
  readonly config: ConfigDesk;
  readonly #host: Host;
  readonly #unit: UnitOfWork;
  readonly #ledger: Ledger;
  readonly #inbox: Inbox;
  readonly #registration: Registration;
  readonly #desk: TaskDesk;
  readonly #reports: Reports;
  readonly #failover: Failover;
  readonly #upkeep: Upkeep;
  readonly #foresight: Foresight;
  #isDeferred = false;

  /** @param base the configuration file's content */
  constructor(host: Host, base: Config) {
    this.#host = host;
    this.#unit = new UnitOfWork(host, {
      migrations: COORDINATOR_MIGRATIONS,
      load: (nowMs) => {
        this.#ledger.load(nowMs);
        this.#failover.load();
        placement.load();
        this.config.load();
        this.#upkeep.load(nowMs);
        // What a crash left under way goes on at once.
        this.#unit.afterCommit(() => this.#deferWork());
      },
      nextWorkMs: (nowMs) => this.#upkeep.nextWorkMs(nowMs),
    });
    this.#ledger = new Ledger(host, this.#unit, base);
    const placement = new Placement(this.#ledger);
    this.#inbox = new Inbox(host, this.#unit, (message, nowMs) => this.#apply(message, nowMs));
    this.#registration = new Registration(this.#ledger, placement);
    const losses = new Losses(this.#ledger, placement);
    this.#desk = new TaskDesk(this.#ledger, placement, losses);
    this.#reports = new Reports(this.#ledger, placement, losses);
    this.#failover = new Failover(this.#ledger, placement, losses);
    this.#upkeep = new Upkeep(this.#ledger, placement, losses, this.#failover);
    this.#foresight = new Foresight(this.#ledger, this.#failover);
    this.queries = new Queries(this.#ledger, placement);
    this.config = new ConfigDesk(this.#ledger, this.#failover);
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
    if (!isHeard)
      return refuse("unavailable", "the group did not answer in time; it may have been told: register again");
    return ok({ agent, isNew });
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
    return this.#unit.commit((nowMs) => this.#reports.start(taskId, report, speaker, nowMs));
  }

  progress(taskId: string, report: TaskProgress, speaker: Speaker): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#reports.progress(taskId, report, speaker, nowMs));
  }

  complete(taskId: string, report: TaskCompletion, speaker: Speaker): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#reports.complete(taskId, report, speaker, nowMs));
  }

  fail(taskId: string, report: TaskFailure, speaker: Speaker): Outcome<Task> {
    return this.#unit.commit((nowMs) => this.#reports.fail(taskId, report, speaker, nowMs));
  }

  settleBatch(results: readonly TaskResult[], speaker: Speaker): Outcome<Task>[] {
    return this.#unit.commit((nowMs) =>
      results.map((result) => this.#reports.settle(result, speaker, nowMs)),
    );
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

  // Failures tried before they happen

  simulateFailover(simulation: FailoverSimulation): Outcome<SimulatedFailover> {
    return this.#unit.imagine((nowMs) => this.#foresight.simulateFailover(simulation, nowMs));
  }

  readiness(): Readiness {
    return this.#unit.read((nowMs) => this.#foresight.readiness(nowMs));
  }

  // The alarm

  /** @param scheduledMs when this alarm was due, if the platform tells */
  onAlarm(scheduledMs: number | null): void {
    this.#unit.alarmFired();
    this.#unit.commit((nowMs) => this.#upkeep.look(scheduledMs, nowMs));
    this.#runWork();
  }

  #apply(message: Message, nowMs: number): string | null {
    switch (message.type) {
      case "agent_ended":
        this.#failover.agentEnded(message, nowMs);
        return null;
      case "agents_silent":
        for (const { agentId, incarnation, untilMs } of message.agents) {
          this.#ledger.roster.doubt(agentId, incarnation, untilMs);
        }
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
      case "tell_agents":
        this.#tellAgents(message);
        return null;
      default:
        return `a coordinator knows no message "${message.type}"`;
    }
  }

  #tellAgents({ groups, ...message }: TellAgents): void {
    for (const group of this.#ledger.roster.groups()) {
      if (groups !== null && !groups.includes(group)) continue;
      this.#ledger.outbox.post(`group/${group}`, { ...message, type: "broadcast" });
    }
  }

  /** Does a slice of what is under way; the rest comes in events of its own, so that requests pass in between. */
  #runWork(): void {
    const hasWork = () => this.#unit.read(() => this.#upkeep.hasWork);
    if (hasWork()) this.#unit.commit((nowMs) => this.#upkeep.work(nowMs));
    this.#deferWork();
  }

  #deferWork(): void {
    if (this.#isDeferred || !this.#unit.read(() => this.#upkeep.hasWork)) return;
    this.#isDeferred = true;
    this.#host.defer(() => {
      this.#isDeferred = false;
      this.#runWork();
    });
  }
}
