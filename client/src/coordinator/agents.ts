/** Agents as operators see them. */
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

/** `group`: where the agent is, if known; otherwise it is looked up. */
export type AgentCallOptions = CallOptions & { group?: string | undefined };

export type DrainOptions = AgentCallOptions & {
  /** `finish` (default): what runs may end in peace; `move`: it is taken away too. */
  mode?: DrainMode | undefined;
  /** When what still runs is taken away. Default: never for `finish`, at once for `move`. */
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
  list({ cursor, ...filter }: AgentFilter & PageOptions = {}, options?: CallOptions): Listing<AgentView> {
    const read = (from?: string) => ({ ...options, query: { ...filter, cursor: from } });
    return listing((from) => this.#http.call("GET", "/agents", read(from)), cursor);
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
   * It takes no new tasks; what it has not started moves at once. No failure is recorded.
   * @throws {NotFoundError}
   * @example
   * await coordinator.agents.drain("agent1", { mode: "finish", deadlineSeconds: 600 });
   */
  drain(id: string, { mode, deadlineSeconds, ...options }: DrainOptions = {}): Promise<unknown> {
    const body = {
      ...(mode === undefined ? {} : { mode }),
      ...(deadlineSeconds === undefined ? {} : { deadline_seconds: deadlineSeconds }),
    };
    return this.#inGroup("POST", id, "/drain", options, body);
  }

  /**
   * It takes tasks again.
   * @throws {NotFoundError}
   * @example
   * await coordinator.agents.resume("agent1");
   */
  resume(id: string, options: AgentCallOptions = {}): Promise<unknown> {
    return this.#inGroup("POST", id, "/resume", options);
  }

  /**
   * Its tasks move on, its locks are released, no failure is recorded.
   * @throws {NotFoundError}
   * @example
   * await coordinator.agents.unregister("agent1");
   */
  async unregister(id: string, options: AgentCallOptions = {}): Promise<void> {
    await this.#inGroup("DELETE", id, "", options);
  }

  /**
   * Reports a failure seen elsewhere; failover starts now.
   * @throws {InvalidTransitionError} it is inactive already
   * @example
   * const failure = await coordinator.agents.reportFailure("agent2", { failure_type: "machine_gone" });
   * console.log(failure.tasks_reassigned);
   */
  async reportFailure(id: string, report: FailureReport, options?: CallOptions): Promise<Failure> {
    const call = { ...options, body: report };
    return (await this.#http.call<{ failure: Failure }>("POST", `${pathOf(id)}/failures`, call)).failure;
  }

  /**
   * Puts a message into its box, where it waits for a week at most. `content` is JSON of at most 64 KB.
   * @throws {NotFoundError} @throws {LimitReachedError} the box is full
   * @example
   * await coordinator.agents.sendMessage("agent1", { message_type: "reload", content: { file: "rules.json" } });
   */
  async sendMessage(id: string, message: MessageSending, options?: CallOptions): Promise<AgentMessage> {
    const call = { ...options, body: message };
    return (await this.#http.call<{ message: AgentMessage }>("POST", `${pathOf(id)}/messages`, call)).message;
  }

  async #inGroup(
    method: string,
    id: string,
    rest: string,
    { group, ...call }: AgentCallOptions,
    body?: unknown,
  ) {
    const place = group ?? (await this.get(id, call)).group;
    // Repeated, a drain and a resume say the same; an agent that came back meanwhile must not be unregistered.
    const isRepeatable = method === "POST";
    return this.#http.call(method, `/groups/${encodeURIComponent(place)}${pathOf(id)}${rest}`, {
      ...call,
      ...(body === undefined ? {} : { body }),
      isRepeatable,
    });
  }
}

const pathOf = (id: string) => `/agents/${encodeURIComponent(id)}`;
