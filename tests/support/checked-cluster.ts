/**
 * A client for tests of the HTTP interface: every answer is checked against the server's own OpenAPI document, and
 * every test works in a cluster of its own. Tests that only use the product go through cluster-client.ts.
 */
import { afterAll, beforeAll, expect } from "vitest";
import * as z from "zod";
import { Agent, AgentPage, HeartbeatAnswer, RegistrationAnswer } from "../../src/contract/agent.ts";
import { ClusterStatus } from "../../src/contract/cluster.ts";
import { ChangedConfig, Config } from "../../src/contract/config.ts";
import { FailurePage } from "../../src/contract/failure.ts";
import { Lock, LockAnswer } from "../../src/contract/lock.ts";
import { type AgentMessage, MessageAnswer, MessagePage } from "../../src/contract/message.ts";
import { NotificationPage } from "../../src/contract/notification.ts";
import { DecisionPage } from "../../src/contract/placement/decision.ts";
import { type ErrorCode, ProblemBody } from "../../src/contract/problem.ts";
import { Placement, Task, TaskAnswer, TaskPage } from "../../src/contract/task.ts";
import { ClusterClient } from "./cluster-client.ts";
import { EventStream } from "./event-stream.ts";
import { OpenApiChecker } from "./openapi-checker.ts";
import { type Server, type ServerOptions, startServer } from "./server.ts";
import { until } from "./until.ts";

export type Json = z.core.util.JSONType;
export type JsonObject = { [key: string]: Json };
type Query = Record<string, string | number>;

export type RequestOptions = {
  token?: string | null;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent unchanged; its content type comes from `headers` only. */
  raw?: BodyInit;
  headers?: Record<string, string>;
};

const AgentAnswer = z.object({ agent: Agent });
const HeldTasks = z.object({ items: z.array(Task), next_cursor: z.string().nullable() });
const LockPageAnswer = z.object({ items: z.array(Lock), next_cursor: z.string().nullable() });

/** Stack traces and file names, which no error may contain. */
const STACK_TRACE = /\n\s+at |\.ts:\d|\.js:\d|node_modules/;

/** An answer whose body has been read. */
export class Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;

  constructor(status: number, headers: Headers, text: string) {
    this.status = status;
    this.headers = headers;
    this.text = text;
  }

  get body(): unknown {
    return this.text === "" ? null : JSON.parse(this.text);
  }

  /** The body of an answer that must have this status. */
  as<Schema extends z.ZodType>(status: number, schema: Schema): z.infer<Schema> {
    expect(this.status, this.text).toBe(status);
    return schema.parse(this.body);
  }

  /** The problem of an answer that must be one, with all fields that every problem has. */
  problem(status: number, code: ErrorCode): z.infer<typeof ProblemBody> {
    expect(this.status, this.text).toBe(status);
    expect(this.headers.get("Content-Type")).toBe("application/problem+json");
    const problem = ProblemBody.parse(this.body);
    expect(problem).toMatchObject({ status, code });
    expect(problem.title).not.toBe("");
    expect(problem.detail).not.toBe("");
    expect(problem.request_id).not.toBe("");
    expect(this.headers.get("X-Request-Id")).toBe(problem.request_id);
    expect(this.text).not.toMatch(STACK_TRACE);
    if (code === "invalid_request") expect(problem.errors?.length).toBeGreaterThan(0);
    return problem;
  }
}

/** A server of the test file. */
export class CheckedApi {
  #server: Server | undefined;
  #checker: OpenApiChecker | undefined;
  #clusters = 0;

  get server(): Server {
    if (this.#server === undefined) throw new Error("the server runs while tests do");
    return this.#server;
  }

  get checker(): OpenApiChecker {
    if (this.#checker === undefined) throw new Error("the document is there while tests run");
    return this.#checker;
  }

  async start(options: ServerOptions): Promise<void> {
    this.#server = await startServer(options);
    const document = await fetch(`${this.#server.url}/openapi.json`);
    this.#checker = new OpenApiChecker(await document.json());
  }

  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }

  /** A cluster that no other test uses. */
  cluster(): CheckedCluster {
    this.#clusters += 1;
    return new CheckedCluster(this, `cluster-${this.#clusters}`);
  }

  /** Calls as the administrator unless another token, or none (null), is given. */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const response = await this.fetch(method, path, options);
    const answer = new Answer(response.status, response.headers, await response.text());
    const contentType = answer.headers.get("Content-Type");
    const checked = { status: answer.status, contentType, body: answer.body };
    const [bare = path] = path.split("?");
    expect(this.checker.complaints(method, bare, checked), `${method} ${path}\n${answer.text}`).toEqual([]);
    return answer;
  }

  fetch(method: string, path: string, options: RequestOptions & { signal?: AbortSignal }): Promise<Response> {
    const { token = this.server.adminToken, json, raw, headers = {}, signal } = options;
    const body = json === undefined ? raw : JSON.stringify(json);
    return fetch(`${this.server.url}${path}`, {
      method,
      ...(signal === undefined ? {} : { signal }),
      // A body that is sent in pieces needs `duplex`.
      ...(body === undefined ? {} : { body, duplex: "half" }),
      headers: {
        ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
        ...(json === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
    });
  }
}

/** To be called at the top of a test file: its server runs while its tests do. */
export function apiOfThisFile(options: ServerOptions = {}): CheckedApi {
  const api = new CheckedApi();
  beforeAll(() => api.start(options));
  afterAll(() => api.stop());
  return api;
}

/** The content of a registration unless a test overrides it: one process registers every agent. */
const REGISTRATION = { type: "worker", capabilities: ["work"], instance: "host/1/tests" };

export type Registering = { group?: string; token?: string } & JsonObject;

/** One cluster as its administrator sees it. */
export class CheckedCluster {
  readonly api: CheckedApi;
  readonly id: string;
  #tasks = 0;

  constructor(api: CheckedApi, id: string) {
    this.api = api;
    this.id = id;
  }

  get path(): string {
    return `/v1/clusters/${this.id}`;
  }

  /** The same cluster without checks of its answers. */
  get unchecked(): ClusterClient {
    return new ClusterClient(this.api.server, this.id);
  }

  request(method: string, path: string, options?: RequestOptions): Promise<Answer> {
    return this.api.request(method, `${this.path}${path}`, options);
  }

  get(path: string, query: Query = {}): Promise<Answer> {
    const entries = Object.entries(query).map(([key, value]) => [key, String(value)]);
    const search = new URLSearchParams(entries).toString();
    return this.request("GET", search === "" ? path : `${path}?${search}`);
  }

  post(path: string, json?: unknown): Promise<Answer> {
    return this.request("POST", path, { json });
  }

  /** The unchecked answer to a registration. */
  tryRegister(id: string, { group = "default", token, ...body }: Registering = {}): Promise<Answer> {
    return this.request("PUT", `/groups/${group}/agents/${id}`, {
      json: { ...REGISTRATION, ...body },
      ...(token === undefined ? {} : { token }),
    });
  }

  async register(id: string, registering: Registering = {}): Promise<TestAgent> {
    const answer = await this.tryRegister(id, registering);
    expect([200, 201], answer.text).toContain(answer.status);
    return new TestAgent(this, registering.group ?? "default", RegistrationAnswer.parse(answer.body));
  }

  /** A task of the type that the default agents can run, unless overridden. */
  async submit(task: JsonObject = {}): Promise<z.infer<typeof Placement>> {
    this.#tasks += 1;
    const answer = await this.post("/tasks", { id: `task-${this.#tasks}`, type: "work", ...task });
    return answer.as(201, Placement);
  }

  async task(id: string, query: Query = {}): Promise<Task> {
    return (await this.get(`/tasks/${id}`, query)).as(200, TaskAnswer).task;
  }

  /** Waits until the task is as wanted. */
  taskOnce(id: string, isWanted: (task: Task) => boolean, what: string): Promise<Task> {
    return until(async () => {
      const task = await this.task(id);
      return isWanted(task) && task;
    }, what);
  }

  async tasks(query: Query = {}) {
    return (await this.get("/tasks", query)).as(200, TaskPage);
  }

  async decisions(taskId: string, query: Query = {}) {
    return (await this.get(`/tasks/${taskId}/decisions`, query)).as(200, DecisionPage);
  }

  async agent(id: string): Promise<Agent> {
    return (await this.get(`/agents/${id}`)).as(200, AgentAnswer).agent;
  }

  async agents(query: Query = {}) {
    return (await this.get("/agents", query)).as(200, AgentPage);
  }

  async locks(group = "default", query: Query = {}) {
    return (await this.get(`/groups/${group}/locks`, query)).as(200, LockPageAnswer);
  }

  /** Sends an agent a message as an operator. */
  async tell(agentId: string, message: JsonObject): Promise<AgentMessage> {
    return (await this.post(`/agents/${agentId}/messages`, message)).as(201, MessageAnswer).message;
  }

  /** An agent's unread messages as an operator reads them. */
  async messages({ group, id }: { group: string; id: string }, query: Query = {}) {
    return (await this.get(`/groups/${group}/agents/${id}/messages`, query)).as(200, MessagePage);
  }

  async failures(query: Query = {}) {
    return (await this.get("/failures", query)).as(200, FailurePage);
  }

  async notifications(query: Query = {}) {
    return (await this.get("/notifications", query)).as(200, NotificationPage);
  }

  /** The notifications of a failure, once they are delivered through that many channels. */
  toldOf(failureId: string, channels = 2) {
    return until(async () => {
      const { items } = await this.notifications({ failure_id: failureId, state: "delivered" });
      return new Set(items.map(({ channel }) => channel)).size >= channels && items;
    }, "a notification of the failure");
  }

  async status(): Promise<ClusterStatus> {
    return (await this.get("/status")).as(200, ClusterStatus);
  }

  async config(): Promise<{ config: Config; etag: string }> {
    const answer = await this.get("/config");
    return { config: answer.as(200, Config), etag: answer.headers.get("ETag") ?? "" };
  }

  tryConfigure(method: "PUT" | "PATCH", json: unknown, headers: Record<string, string> = {}) {
    return this.request(method, "/config", { json, headers });
  }

  /** Changes the configuration by a merge patch. */
  async configure(patch: JsonObject): Promise<Config> {
    const { applied: _, ...config } = (await this.tryConfigure("PATCH", patch)).as(200, ChangedConfig);
    return config;
  }

  /** Follows the events, by default from the first one. */
  async events(lastEventId: number | null = 0): Promise<EventStream> {
    const abort = new AbortController();
    const response = await this.api.fetch("GET", `${this.path}/events`, {
      headers: lastEventId === null ? {} : { "Last-Event-ID": String(lastEventId) },
      signal: abort.signal,
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("Content-Type")).toContain("text/event-stream");
    return new EventStream(response, abort);
  }

  /** Every event so far, up to a configuration change that this call makes to mark the end. */
  async eventsSoFar() {
    await using stream = await this.events();
    await this.configure({});
    await stream.first(({ type }) => type === "config.changed", "the mark");
    return stream.heard;
  }

  /** Everything in the cluster that a call could have changed. */
  async snapshot() {
    const agents = (await this.agents()).items;
    return {
      status: await this.status(),
      tasks: await this.tasks(),
      agents: agents.map(({ last_heartbeat_at: _, deadline_at: __, ...agent }) => agent),
      messages: await Promise.all(agents.map((agent) => this.messages(agent))),
      config: await this.config(),
      locks: await this.locks(),
      failures: await this.failures(),
      notifications: await this.notifications(),
    };
  }
}

/** An agent of a cluster, with the token of one of its incarnations. */
export class TestAgent {
  readonly cluster: CheckedCluster;
  readonly group: string;
  readonly id: string;
  readonly token: string;
  readonly incarnation: number;
  /** The agent as the answer to the registration shows it. */
  readonly registered: Agent;

  constructor(cluster: CheckedCluster, group: string, answer: z.infer<typeof RegistrationAnswer>) {
    this.cluster = cluster;
    this.group = group;
    this.id = answer.agent.id;
    this.token = answer.token;
    this.incarnation = answer.incarnation;
    this.registered = answer.agent;
  }

  get path(): string {
    return `/groups/${this.group}/agents/${this.id}`;
  }

  request(method: string, path: string, json?: unknown): Promise<Answer> {
    return this.cluster.request(method, path, { token: this.token, json });
  }

  tryHeartbeat(body?: JsonObject): Promise<Answer> {
    return this.request("POST", `${this.path}/heartbeat`, body);
  }

  async heartbeat(body?: JsonObject) {
    return (await this.tryHeartbeat(body)).as(200, HeartbeatAnswer);
  }

  tryPoll(query = ""): Promise<Answer> {
    return this.request("GET", `${this.path}/tasks${query}`);
  }

  async poll(query = ""): Promise<Task[]> {
    return (await this.tryPoll(query)).as(200, HeldTasks).items;
  }

  tryReadMessages(query = ""): Promise<Answer> {
    return this.request("GET", `${this.path}/messages${query}`);
  }

  async readMessages(query = ""): Promise<AgentMessage[]> {
    return (await this.tryReadMessages(query)).as(200, MessagePage).items;
  }

  acknowledge(messageId: string): Promise<Answer> {
    return this.request("POST", `${this.path}/messages/${messageId}/ack`);
  }

  /** A message from this agent unless overridden. */
  tryTell(agentId: string, message: JsonObject): Promise<Answer> {
    return this.request("POST", `/agents/${agentId}/messages`, message);
  }

  unregister(): Promise<Answer> {
    return this.request("DELETE", this.path);
  }

  /** A report on a task; `attempt` is 1 unless overridden. */
  report(verb: "start" | "progress" | "complete" | "fail", taskId: string, body: JsonObject = {}) {
    const holder = { agent_id: this.id, attempt: 1 };
    return this.request("POST", `/tasks/${taskId}/${verb}`, { ...holder, ...body });
  }

  /** A report that must succeed. */
  async reported(...report: Parameters<TestAgent["report"]>): Promise<Task> {
    return (await this.report(...report)).as(200, TaskAnswer).task;
  }

  /** @param resource percent-encoded, as in a path */
  tryAcquire(resource: string, body: JsonObject = {}): Promise<Answer> {
    return this.request("POST", `/groups/${this.group}/locks/${resource}/acquire`, {
      agent_id: this.id,
      ...body,
    });
  }

  async acquire(resource: string, body: JsonObject = {}): Promise<Lock> {
    return (await this.tryAcquire(resource, body)).as(200, LockAnswer).lock;
  }

  proof(verb: "renew" | "release", resource: string, fencingToken: number): Promise<Answer> {
    return this.request("POST", `/groups/${this.group}/locks/${resource}/${verb}`, {
      fencing_token: fencingToken,
    });
  }
}
