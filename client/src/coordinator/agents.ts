/** The agents of a cluster, for operators. */
import type { CallOptions, Http } from "../http.ts";
import type {
  AgentFilter,
  AgentMessage,
  AgentView,
  DrainMode,
  Failure,
  FailureReport,
  MessageSending,
} from "../wire.ts";
import { type Listing, listing, type PageOptions } from "./listing.ts";

/** `group`: the group of the agent. Default: a call looks it up. */
export type AgentCallOptions = CallOptions & { group?: string | undefined };

export type DrainOptions = AgentCallOptions & {
  /** `finish` (default): running tasks may finish; `move`: they are reassigned too. */
  mode?: DrainMode | undefined;
  /** When tasks that still run are reassigned. Default: never for `finish`, at once for `move`. */
  deadlineSeconds?: number | undefined;
};

export class Agents {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * All agents, or those of a status, group, capability or type.
   * @example
   * for await (const agent of coordinator.agents.list({ status: "active" })) console.log(agent.id, agent.task_count);
   */
  list(filter: AgentFilter & PageOptions = {}, options?: CallOptions): Listing<AgentView> {
    return listing(this.#http, "/agents", { filter, options });
  }

  /**
   * One agent.
   * @throws {NotFoundError}
   * @example
   * const { status, task_count, reliability } = await coordinator.agents.get("agent1");
   * console.log(status, task_count, reliability);
   */
  async get(id: string, options?: CallOptions): Promise<AgentView> {
    return (await this.#http.call<{ agent: AgentView }>("GET", pathOf(id), options)).agent;
  }

  /**
   * The agent gets no new tasks, and those it has not started are reassigned at once. No failure is recorded.
   * @throws {NotFoundError}
   * @example
   * await coordinator.agents.drain("agent1", { mode: "finish", deadlineSeconds: 600 });
   */
  drain(id: string, { mode, deadlineSeconds, ...options }: DrainOptions = {}): Promise<unknown> {
    const body = {
      ...(mode === undefined ? {} : { mode }),
      ...(deadlineSeconds === undefined ? {} : { deadline_seconds: deadlineSeconds }),
    };
    return this.#inGroup(id, options, { method: "POST", action: "/drain", body });
  }

  /**
   * Ends a drain: the agent gets tasks again.
   * @throws {NotFoundError}
   * @example
   * await coordinator.agents.resume("agent1");
   */
  resume(id: string, options: AgentCallOptions = {}): Promise<unknown> {
    return this.#inGroup(id, options, { method: "POST", action: "/resume" });
  }

  /**
   * The tasks of the agent are reassigned and its locks released. No failure is recorded.
   * @throws {NotFoundError}
   * @example
   * await coordinator.agents.unregister("agent1");
   */
  async unregister(id: string, options: AgentCallOptions = {}): Promise<void> {
    await this.#inGroup(id, options, { method: "DELETE", action: "" });
  }

  /**
   * Reports a failure of an agent. Failover starts at once.
   * @throws {InvalidTransitionError} the agent is inactive already
   * @example
   * const failure = await coordinator.agents.reportFailure("agent2", { failure_type: "machine_gone" });
   * console.log(failure.tasks_reassigned);
   */
  async reportFailure(id: string, report: FailureReport, options?: CallOptions): Promise<Failure> {
    const call = { ...options, body: report };
    return (await this.#http.call<{ failure: Failure }>("POST", `${pathOf(id)}/failures`, call)).failure;
  }

  /**
   * Puts a message into the mailbox of an agent, which keeps it for a week at most. `content` is JSON of at most 64 KB.
   * @throws {NotFoundError} @throws {LimitReachedError} the mailbox is full
   * @example
   * await coordinator.agents.sendMessage("agent1", { message_type: "reload", content: { file: "rules.json" } });
   */
  async sendMessage(id: string, message: MessageSending, options?: CallOptions): Promise<AgentMessage> {
    const call = { ...options, body: message };
    return (await this.#http.call<{ message: AgentMessage }>("POST", `${pathOf(id)}/messages`, call)).message;
  }

  async #inGroup(
    id: string,
    { group, ...call }: AgentCallOptions,
    { method, action, body }: { method: string; action: string; body?: object },
  ): Promise<unknown> {
    const itsGroup = group ?? (await this.get(id, call)).group;
    const path = `/groups/${encodeURIComponent(itsGroup)}${pathOf(id)}${action}`;
    // A repeated drain or resume has no further effect. A repeated DELETE could unregister a new incarnation.
    const isRepeatable = method === "POST";
    return this.#http.call(method, path, { ...call, body, isRepeatable });
  }
}

const pathOf = (id: string) => `/agents/${encodeURIComponent(id)}`;
