/**
 * The steps of the demo. Each step waits for what it prints, from the event stream or the records of the coordinator,
 * and throws `NotSeen` if it does not come.
 */
import type { ChildProcess } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import type { Agent } from "../../src/contract/agent.ts";
import type { ClusterStatus } from "../../src/contract/cluster.ts";
import type { Failure } from "../../src/contract/failure.ts";
import type { Lock } from "../../src/contract/lock.ts";
import type { Notification } from "../../src/contract/notification.ts";
import type { Decision } from "../../src/contract/placement/decision.ts";
import type { Placement, Task } from "../../src/contract/task.ts";
import { type Api, NotSeen } from "./api.ts";
import type { EventFeed, Seen } from "./event-feed.ts";
import type { AgentEnvironment, AgentSettings, Processes } from "./processes.ts";
import { bold, green, heading, line, moment, note, plain, red, yellow } from "./terminal.ts";

const HEARTBEAT_INTERVAL_SECONDS = 0.25;
/** Short for a demo, and six intervals, so that a busy machine does not look like a failed agent. */
const HEARTBEAT_TIMEOUT_SECONDS = 1.5;
/** Long enough that the kill happens while the agent works. */
const WORK_SECONDS = 3;
/** From the start of the work to the kill. */
const WORKING_MS = 1000;

/** Limit for steps that take milliseconds on an idle machine. */
const SOON_MS = 15_000;
/** Limit for all tasks to finish. */
const FINISH_LIMIT_SECONDS = 30;
const POLL_INTERVAL_MS = 50;

const RESOURCE = "db/orders";

/** The first two agents are those of the example in docs/origin.md. */
const VICTIM: AgentSettings = {
  id: "agent1",
  type: "worker",
  capabilities: ["task_type1", "task_type2"],
  endpoint: "http://agent1",
  lock: RESOURCE,
};
const SUCCESSOR: AgentSettings = {
  id: "agent2",
  type: "worker",
  capabilities: ["task_type1", "task_type3"],
  endpoint: "http://agent2",
  lock: RESOURCE,
};
const HELPER: AgentSettings = {
  id: "agent3",
  type: "worker",
  capabilities: ["task_type1", "task_type3"],
  endpoint: "http://agent3",
};

/** Only the victim can do this type, so its tasks wait until it is back. */
const VICTIMS_OWN_TYPE = "task_type2";
const SHARED_TYPE = "task_type1";

const TASKS = [
  { id: "task1", type: SHARED_TYPE, priority: 5, data: { input: "data1" } },
  { id: "task2", type: VICTIMS_OWN_TYPE, priority: 9, data: { input: "data2" } },
  { id: "task3", type: "task_type3", priority: 2, data: { input: "data3" } },
  { id: "task4", type: SHARED_TYPE, priority: 8, data: { input: "data4" } },
  { id: "task5", type: SHARED_TYPE, priority: 3, data: { input: "data5" } },
  { id: "task6", type: SHARED_TYPE, priority: 6, data: { input: "data6" } },
] as const;
/** More tasks of the shared type are submitted until the victim has one, up to this number. */
const MAX_TASKS = 12;

type StoryParts = { api: Api; feed: EventFeed; processes: Processes; adminToken: string };

export class Story {
  readonly #api: Api;
  readonly #feed: EventFeed;
  readonly #processes: Processes;
  readonly #environment: AgentEnvironment;
  readonly #taskIds: string[] = [];
  /** The tasks that the victim held when it was killed. */
  readonly #heldAtKill = new Map<string, Task>();
  #killedMs = 0;
  #detectedMs = 0;

  constructor({ api, feed, processes, adminToken }: StoryParts) {
    this.#api = api;
    this.#feed = feed;
    this.#processes = processes;
    this.#environment = {
      origin: api.origin,
      adminToken,
      cluster: api.cluster,
      heartbeatIntervalSeconds: HEARTBEAT_INTERVAL_SECONDS,
      heartbeatTimeoutSeconds: HEARTBEAT_TIMEOUT_SECONDS,
      workSeconds: WORK_SECONDS,
    };
  }

  async run(): Promise<void> {
    console.log(`Failover demo: cluster ${bold(this.#api.cluster)} at ${bold(this.#api.origin)}`);

    heading(1, "Three agents register");
    const victim = await this.#register(VICTIM);
    const tokenBefore = await this.#holds(VICTIM);
    await this.#register(SUCCESSOR);
    await this.#register(HELPER);
    line(
      `Each sends a heartbeat every ${HEARTBEAT_INTERVAL_SECONDS} s; ${HEARTBEAT_TIMEOUT_SECONDS} s without one is a failure.`,
    );
    line(
      `${VICTIM.id} holds the lock ${RESOURCE}, fencing token ${tokenBefore}; ${SUCCESSOR.id} wants it too and waits.`,
    );

    heading(2, "Tasks are submitted, and each answer says which agent got the task and why");
    await this.#submitTasks();

    heading(3, `kill -9 ${VICTIM.id}`);
    await this.#kill(victim);
    const failureId = await this.#watchFailover();
    await this.#showNextHolder(tokenBefore);
    await this.#reportLate();

    heading(4, "The records");
    await this.#readFailure(failureId);
    await this.#readNotifications(failureId);

    heading(5, `The supervisor of ${VICTIM.id} starts it again`);
    await this.#restart();

    heading(6, "All tasks are finished");
    await this.#readResults();
    await this.#readStatus();
  }

  async #register(settings: AgentSettings): Promise<ChildProcess> {
    const child = this.#processes.startAgent(settings, this.#environment);
    await this.#feed.until(
      `${settings.id} registers`,
      (event) => event.type === "agent.registered" && event.subject === settings.id,
      SOON_MS,
    );
    const { agent } = await this.#api.get<{ agent: Agent }>(`/agents/${settings.id}`);
    const about = [agent.type, agent.capabilities.join(", "), agent.endpoint ?? "no endpoint"];
    line(`${bold(agent.id)}  ${about.join("  ")}  (incarnation ${agent.incarnation}, pid ${child.pid})`);
    return child;
  }

  /** @returns the fencing token under which this agent holds the lock */
  async #holds(settings: AgentSettings): Promise<number> {
    const lock = await eventually(`${settings.id} holds ${RESOURCE}`, async () => {
      const { items } = await this.#api.get<{ items: Lock[] }>("/groups/default/locks");
      return items.find(({ resource, holder }) => resource === RESOURCE && holder === settings.id);
    });
    return lock.fencing_token;
  }

  async #submitTasks(): Promise<void> {
    for (const task of TASKS) await this.#submit(task);
    while ((await this.#heldByVictim(SHARED_TYPE)).length === 0) {
      const number = this.#taskIds.length + 1;
      if (number > MAX_TASKS) throw new NotSeen(`${VICTIM.id} got no ${SHARED_TYPE}`);
      await this.#submit({ id: `task${number}`, type: SHARED_TYPE, priority: 5, data: {} });
    }
  }

  async #submit(body: { id: string; type: string; priority: number; data: object }): Promise<void> {
    const { task, decision } = await this.#api.post<Placement>("/tasks", body);
    this.#taskIds.push(task.id);
    line(
      `${bold(task.id)}  ${task.type}  priority ${task.priority}  → ${green(task.assigned_to ?? "no agent yet")}`,
    );
    if (decision !== null) note(plain(decision.explanation), 10);
  }

  async #heldByVictim(type: string): Promise<Task[]> {
    const { items } = await this.#api.get<{ items: Task[] }>(`/tasks?assigned_to=${VICTIM.id}`);
    return items.filter((task) => task.type === type && isUnfinished(task));
  }

  async #kill(victim: ChildProcess): Promise<void> {
    await eventually(`${VICTIM.id} works on its tasks`, async () => {
      const own = await this.#heldByVictim(VICTIMS_OWN_TYPE);
      return own.some(({ status }) => status === "running") || undefined;
    });
    await delay(WORKING_MS);
    const { items } = await this.#api.get<{ items: Task[] }>(`/tasks?assigned_to=${VICTIM.id}`);
    for (const task of items.filter(isUnfinished)) this.#heldAtKill.set(task.id, task);
    const gone = new Promise((resolve) => victim.once("exit", resolve));
    this.#killedMs = performance.now();
    victim.kill("SIGKILL");
    await gone;
    const held = [...this.#heldAtKill.values()].map(
      ({ id, status, progress }) => `${id} (${status}, ${Math.round((progress ?? 0) * 100)} %)`,
    );
    moment(
      0,
      red(`${VICTIM.id} (pid ${victim.pid}) is dead. It held ${held.join(", ")} and the lock ${RESOURCE}.`),
    );
  }

  /** Prints the events of the failover until it is done. @returns the failure's id */
  async #watchFailover(): Promise<string> {
    const moved = new Set<string>();
    let failureId: string | null = null;
    const untilMs = performance.now() + SOON_MS;
    for (;;) {
      const event = await this.#feed.next(`the failover of ${VICTIM.id}`, untilMs - performance.now());
      // Events before the kill are not part of the failover.
      if (event.seenAtMs < this.#killedMs) continue;
      const { type, subject, data } = event;
      if (type === "agent.inactive" && subject === VICTIM.id) {
        failureId = String(data.failure_id);
        this.#detectedMs = event.seenAtMs;
        this.#moment(event, red(`${subject} is declared inactive: ${data.failure_type}`));
      } else if (type === "lock.released") {
        this.#moment(event, yellow(`the lock ${plain(subject)} of ${data.holder} is released`));
      } else if (type === "task.assigned" && this.#heldAtKill.has(subject)) {
        moved.add(subject);
        this.#moment(event, `${bold(subject)} → ${green(String(data.agent_id))}, attempt ${data.attempt}`);
        await this.#explain(subject, Number(data.attempt));
      } else if (type === "task.pending" && this.#heldAtKill.has(subject)) {
        moved.add(subject);
        this.#moment(event, yellow(`${subject} waits: ${data.reason}`));
      } else if (type === "failure.failed_over" && subject === failureId) {
        const { tasks_reassigned, tasks_pending } = data;
        this.#moment(
          event,
          `failover done: ${tasks_reassigned} task(s) reassigned, ${tasks_pending} waiting`,
        );
        break;
      }
    }
    const unseen = [...this.#heldAtKill.keys()].filter((id) => !moved.has(id));
    if (unseen.length > 0) throw new NotSeen(`nothing happened to ${unseen.join(", ")}`);
    return failureId;
  }

  async #explain(taskId: string, attempt: number): Promise<void> {
    const { items } = await this.#api.get<{ items: Decision[] }>(`/tasks/${taskId}/decisions`);
    const decision = items.find((item) => item.attempt === attempt);
    if (decision === undefined) throw new NotSeen(`there is no decision for attempt ${attempt} of ${taskId}`);
    note(plain(decision.explanation));
  }

  async #showNextHolder(tokenBefore: number): Promise<void> {
    const token = await this.#holds(SUCCESSOR);
    this.#momentNow(`${green(SUCCESSOR.id)} holds ${RESOURCE}, fencing token ${token}`);
    if (token <= tokenBefore)
      throw new NotSeen(`the fencing token did not grow: ${tokenBefore}, then ${token}`);
    note(
      `${token} is greater than ${tokenBefore}, so ${RESOURCE} can refuse writes that ${VICTIM.id} still sends.`,
    );
  }

  /** Sends a report as the killed agent could have done if it still ran. */
  async #reportLate(): Promise<void> {
    const task = [...this.#heldAtKill.values()].find(({ type }) => type === SHARED_TYPE);
    if (task === undefined) throw new NotSeen(`${VICTIM.id} held no ${SHARED_TYPE} when it was killed`);
    const { status, problem } = await this.#api.refused(`/tasks/${task.id}/complete`, {
      agent_id: VICTIM.id,
      attempt: task.attempt,
      result: "too late",
    });
    if (problem.code !== "stale_attempt") throw new NotSeen(`a late result was answered ${problem.code}`);
    this.#momentNow(
      `a result of ${task.id} in the name of ${VICTIM.id} is refused: ${status} ${problem.code}`,
    );
    note(`the current attempt is ${problem.attempt} of ${problem.assigned_to}, not ${task.attempt}`);
  }

  async #readFailure(failureId: string): Promise<void> {
    const { items } = await this.#api.get<{ items: Failure[] }>(`/failures?agent_id=${VICTIM.id}`);
    const failure = items.find(({ id }) => id === failureId);
    if (failure === undefined) throw new NotSeen("the failure is not recorded");
    line(`${bold(`${failure.severity} ${failure.failure_type}`)}  ${plain(failure.message)}`);
    const sinceKill = ((this.#detectedMs - this.#killedMs) / 1000).toFixed(2);
    line(
      `detected ${failure.detection_seconds} s after the last sign of life, ${sinceKill} s after the kill`,
    );
    const { tasks_reassigned, tasks_pending, tasks_failed, locks_released } = failure;
    line(`tasks: ${tasks_reassigned} reassigned, ${tasks_pending} waiting, ${tasks_failed} failed`);
    line(`locks released: ${locks_released.join(", ")}`);
    const isComplete =
      failure.failure_type === "heartbeat_timeout" &&
      (failure.detection_seconds ?? 0) >= HEARTBEAT_TIMEOUT_SECONDS &&
      tasks_reassigned >= 1 &&
      tasks_pending >= 1 &&
      locks_released.includes(RESOURCE);
    if (!isComplete)
      throw new NotSeen(`the record of the failure is not complete: ${JSON.stringify(failure)}`);
  }

  async #readNotifications(failureId: string): Promise<void> {
    const sent = await eventually("a notification of the failure is sent", async () => {
      const { items } = await this.#api.get<{ items: Notification[] }>(
        `/notifications?failure_id=${failureId}&state=delivered`,
      );
      return items.length >= 1 ? items.reverse() : undefined;
    });
    for (const { channel, subject } of sent) line(`notification through ${bold(channel)}: ${plain(subject)}`);
  }

  async #restart(): Promise<void> {
    await this.#register(VICTIM);
    const waiting = [...this.#heldAtKill.values()].filter(({ type }) => type === VICTIMS_OWN_TYPE);
    for (const { id, attempt } of waiting) {
      const task = await eventually(`${id} is assigned to ${VICTIM.id} again`, async () => {
        const found = await this.#task(id);
        return found.assigned_to === VICTIM.id && found.attempt > attempt ? found : undefined;
      });
      line(`${bold(id)} was pending → ${green(VICTIM.id)}, attempt ${task.attempt}`);
      await this.#explain(id, task.attempt);
    }
  }

  async #readResults(): Promise<void> {
    for (const id of this.#taskIds) {
      const { task } = await this.#api.get<{ task: Task }>(
        `/tasks/${id}?wait_seconds=${FINISH_LIMIT_SECONDS}`,
      );
      if (task.status !== "completed") throw new NotSeen(`${id} is ${task.status}, not completed`);
      const before = this.#heldAtKill.get(id);
      const history =
        before === undefined ? "" : yellow(`  after ${VICTIM.id} was killed in attempt ${before.attempt}`);
      line(`${bold(id)}  completed by ${green(task.assigned_to ?? "?")}, attempt ${task.attempt}${history}`);
      const isMoved = before === undefined || task.attempt > before.attempt;
      const isWithAnother = before?.type !== SHARED_TYPE || task.assigned_to !== VICTIM.id;
      if (!isMoved || !isWithAnother) throw new NotSeen(`${id} was not completed by another agent`);
    }
  }

  async #readStatus(): Promise<void> {
    const { items } = await this.#api.get<{ items: Failure[] }>("/failures");
    for (const { failure_type, message } of items.reverse())
      line(`failure: ${failure_type}, ${plain(message)}`);
    const status = await this.#api.get<ClusterStatus>("/status");
    line(`active agents: ${status.active_agents}, inactive agents: ${status.inactive_agents}`);
    line(`failures: ${status.failure_count}`);
    if (status.failure_count === 0) throw new NotSeen("the status counts no failure");
  }

  async #task(id: string): Promise<Task> {
    return (await this.#api.get<{ task: Task }>(`/tasks/${id}`)).task;
  }

  #moment(event: Seen, text: string): void {
    moment(event.seenAtMs - this.#killedMs, text);
  }

  #momentNow(text: string): void {
    moment(performance.now() - this.#killedMs, text);
  }
}

function isUnfinished({ status }: Task): boolean {
  return status === "assigned" || status === "running";
}

/** Polls until there is a value. */
async function eventually<Found>(what: string, read: () => Promise<Found | undefined>): Promise<Found> {
  const untilMs = performance.now() + SOON_MS;
  for (;;) {
    const found = await read();
    if (found !== undefined) return found;
    if (performance.now() > untilMs) throw new NotSeen(`not seen within ${SOON_MS / 1000} s: ${what}`);
    await delay(POLL_INTERVAL_MS);
  }
}
