/** The coordinator as a program that is no agent sees it: producers of tasks, operators, dashboards. */

import { type CallOptions, type ClientOptions, Http } from "../http.ts";
import type {
  AgentView,
  ClusterEvent,
  ClusterStatus,
  Config,
  Failure,
  FailureFilter,
  Readiness,
  Registration,
  SimulatedFailover,
  TaskSubmission,
} from "../wire.ts";
import { Agents } from "./agents.ts";
import { type Change, Configuration } from "./config.ts";
import { type EventOptions, follow } from "./event-stream.ts";
import { Failures, Incidents, Locks, Notifications } from "./records.ts";
import { Tasks } from "./tasks.ts";

/** `token` speaks for this incarnation of the agent alone. */
export type Registered = {
  agent: AgentView;
  incarnation: number;
  token: string;
  heartbeat_interval_seconds: number;
  heartbeat_timeout_seconds: number;
  websocket_url: string;
};

/** One cluster. Methods are in camelCase; what goes over the wire keeps its snake_case. */
export class DistributedCoordinator {
  readonly tasks: Tasks;
  readonly agents: Agents;
  readonly locks: Locks;
  readonly failures: Failures;
  readonly incidents: Incidents;
  readonly notifications: Notifications;
  readonly config: Configuration;
  readonly #http: Http;

  /**
   * Makes no call.
   * @example
   * const coordinator = new DistributedCoordinator({ url: "http://127.0.0.1:8787", token: "…" });
   * console.log(coordinator instanceof DistributedCoordinator);
   */
  constructor(options: ClientOptions = {}) {
    const http = new Http(options);
    this.#http = http;
    this.tasks = new Tasks(http);
    this.agents = new Agents(http);
    this.locks = new Locks(http);
    this.failures = new Failures(http);
    this.incidents = new Incidents(http);
    this.notifications = new Notifications(http);
    this.config = new Configuration(http);
  }

  /**
   * Registers an agent that some other program is; `Agent` registers itself. Unless it shows that it lives within
   * its timeout (default 30 s), it is declared failed.
   * @throws {AgentLiveError} @throws {AgentInOtherGroupError}
   * @example
   * await coordinator.registerAgent("agent1", "worker", ["task_type1", "task_type2"], "http://agent1");
   * await coordinator.registerAgent({ id: "agent2", type: "worker", capabilities: ["task_type1"], group: "eu" });
   */
  registerAgent(id: string, type: string, capabilities: string[], endpoint?: string): Promise<Registered>;
  registerAgent(
    agent: Registration & { id: string; group?: string },
    options?: CallOptions,
  ): Promise<Registered>;
  registerAgent(
    first: string | (Registration & { id: string; group?: string }),
    second?: string | CallOptions,
    capabilities: string[] = [],
    endpoint?: string,
  ): Promise<Registered> {
    const isObject = typeof first === "object";
    const {
      id,
      group = "default",
      ...body
    } = isObject
      ? first
      : { id: first, type: String(second), capabilities, ...(endpoint === undefined ? {} : { endpoint }) };
    const options = typeof second === "object" ? second : {};
    const path = `/groups/${encodeURIComponent(group)}/agents/${encodeURIComponent(id)}`;
    return this.#http.call("PUT", path, { ...options, body });
  }

  /**
   * Submits a task; `tasks.submit` says more.
   * @returns who got it, or null: it waits until somebody can take it
   * @example
   * const agent = await coordinator.assignTask({ id: "task1", type: "task_type1", priority: 5, data: { input: "data1" } });
   * console.log(`assigned to ${agent}`);
   */
  async assignTask(task: TaskSubmission, options?: CallOptions): Promise<string | null> {
    return (await this.tasks.submit(task, options)).task.assigned_to;
  }

  /**
   * The latest failures, newest first, at most `limit` (default 1,000).
   * @example
   * for (const failure of await coordinator.getFailureHistory({ agent_id: "agent1" })) console.log(failure.message);
   */
  async getFailureHistory(
    { limit = 1000, ...filter }: FailureFilter & { limit?: number } = {},
    options?: CallOptions,
  ): Promise<Failure[]> {
    const history: Failure[] = [];
    if (limit < 1) return history;
    for await (const failure of this.failures.list({ ...filter, limit: Math.min(limit, 500) }, options)) {
      if (history.push(failure) >= limit) break;
    }
    return history;
  }

  /**
   * The cluster at a glance.
   * @example
   * const { active_agents, inactive_agents, failure_count } = await coordinator.getClusterStatus();
   * console.log(active_agents, inactive_agents, failure_count);
   */
  getClusterStatus(options?: CallOptions): Promise<ClusterStatus> {
    return this.#http.call("GET", "/status", options);
  }

  /**
   * Says who takes the tasks of agents that fail: by name, or by any keys of `failover_config`.
   * @returns the configuration in force
   * @example
   * await coordinator.initFailoverStrategy("backup_agent");
   * await coordinator.initFailoverStrategy({ failover_strategy_type: "failover", reliability_threshold: 0.7 });
   */
  async initFailoverStrategy(
    strategy: "basic" | "failover" | "backup_agent" | Change<Config["failover_config"]> = {},
    options?: CallOptions,
  ): Promise<Config> {
    const failover_config =
      typeof strategy === "object"
        ? { use_failover_strategy: true, ...strategy }
        : strategy === "basic"
          ? { use_failover_strategy: false }
          : { use_failover_strategy: true, failover_strategy_type: strategy };
    return (await this.config.patch({ failover_config }, options)).config;
  }

  /**
   * What would happen if these failed now; nothing is done.
   * @example
   * const { tasks, stranded } = await coordinator.simulateFailover({ agents: ["agent1"] });
   * for (const { task_id, from, to } of tasks) console.log(task_id, from, to);
   * console.log(stranded.length);
   */
  simulateFailover(
    whom: { agents?: string[]; groups?: string[] },
    options?: CallOptions,
  ): Promise<SimulatedFailover> {
    return this.#http.call("POST", "/simulations/failover", { ...options, body: whom, isRepeatable: true });
  }

  /**
   * Single points of failure.
   * @example
   * const { ready, single_capabilities } = await coordinator.readiness();
   * if (!ready) console.log(single_capabilities);
   */
  readiness(options?: CallOptions): Promise<Readiness> {
    return this.#http.call("GET", "/readiness", options);
  }

  /**
   * What changes, as it changes, for as long as the loop runs; a stream that breaks is taken up where it was.
   * @example
   * for await (const event of coordinator.events({ after: 0 })) {
   *   console.log(event.id, event.type, event.subject);
   *   break;
   * }
   */
  events(options: EventOptions = {}): AsyncGenerator<ClusterEvent, void> {
    return follow(this.#http, options);
  }
}
