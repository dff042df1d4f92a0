/** The client for programs that are not agents: producers of tasks, operators, dashboards. */

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
import { type EventOptions, followEvents } from "./event-stream.ts";
import { Failures, Incidents } from "./failures.ts";
import { Locks } from "./locks.ts";
import { Notifications } from "./notifications.ts";
import { Tasks } from "./tasks.ts";

/** `token` is valid for this incarnation of the agent only. */
export type Registered = {
  agent: AgentView;
  incarnation: number;
  token: string;
  heartbeat_interval_seconds: number;
  heartbeat_timeout_seconds: number;
  websocket_url: string;
};

type AgentRegistration = Registration & { id: string; group?: string };
type RegistrationByPosition = [id: string, type: string, capabilities: string[], endpoint?: string];
type RegistrationByName = [agent: AgentRegistration, options?: CallOptions];

/** One cluster. Methods use camelCase, data of the API snake_case. */
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
   * Registers an agent that does not use this client; an `Agent` registers itself. Without a heartbeat within its
   * timeout (default 30 s), the agent is declared failed.
   * @throws {AgentLiveError} @throws {AgentInOtherGroupError}
   * @example
   * await coordinator.registerAgent("agent1", "worker", ["task_type1", "task_type2"], "http://agent1");
   * await coordinator.registerAgent({ id: "agent2", type: "worker", capabilities: ["task_type1"], group: "eu" });
   */
  registerAgent(...args: RegistrationByPosition): Promise<Registered>;
  registerAgent(...args: RegistrationByName): Promise<Registered>;
  registerAgent(...args: RegistrationByPosition | RegistrationByName): Promise<Registered> {
    const [{ id, group = "default", ...body }, options] = isByName(args) ? args : [byName(args)];
    const path = `/groups/${encodeURIComponent(group)}/agents/${encodeURIComponent(id)}`;
    return this.#http.call("PUT", path, { ...options, body });
  }

  /**
   * Submits a task, as `tasks.submit` does.
   * @returns the id of the agent; null while the task is pending
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
   * Agents, tasks and failures of the cluster in numbers.
   * @example
   * const { active_agents, inactive_agents, failure_count } = await coordinator.getClusterStatus();
   * console.log(active_agents, inactive_agents, failure_count);
   */
  getClusterStatus(options?: CallOptions): Promise<ClusterStatus> {
    return this.#http.call("GET", "/status", options);
  }

  /**
   * Chooses how tasks of failed agents are reassigned: a strategy, or any keys of `failover_config`.
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
   * Computes what would happen if these agents or groups failed now. Nothing is changed.
   * @example
   * const { tasks, stranded } = await coordinator.simulateFailover({ agents: ["agent1"] });
   * for (const { task_id, from, to } of tasks) console.log(task_id, from, to);
   * console.log(stranded.length);
   */
  simulateFailover(
    failing: { agents?: string[]; groups?: string[] },
    options?: CallOptions,
  ): Promise<SimulatedFailover> {
    return this.#http.call("POST", "/simulations/failover", {
      ...options,
      body: failing,
      isRepeatable: true,
    });
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
   * Follows the events of the cluster while the loop runs. A broken stream continues after the last event.
   * @example
   * for await (const event of coordinator.events({ after: 0 })) {
   *   console.log(event.id, event.type, event.subject);
   *   break;
   * }
   */
  events(options: EventOptions = {}): AsyncGenerator<ClusterEvent, void> {
    return followEvents(this.#http, options);
  }
}

const isByName = (args: RegistrationByPosition | RegistrationByName): args is RegistrationByName =>
  typeof args[0] === "object";

const byName = ([id, type, capabilities = [], endpoint]: RegistrationByPosition): AgentRegistration => ({
  id,
  type,
  capabilities,
  ...(endpoint === undefined ? {} : { endpoint }),
});
