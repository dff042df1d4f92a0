/** Requests that cannot be served: each gets a problem of its documented kind, and changes nothing. */
import { describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/contract/problem.ts";
import { apiOfThisFile, type CheckedCluster, type RequestOptions } from "../support/checked-cluster.ts";

const api = apiOfThisFile();

/** A value that no error may repeat. */
const PLANTED = "planted-9f8e7d6c";

const KB = 1024;
const MB = 1024 * KB;

/** JSON of at least that many bytes. */
const jsonOfBytes = (bytes: number) => JSON.stringify({ id: "big", type: "work", data: "x".repeat(bytes) });

/** A body that is sent in pieces, so that no header has its length. */
function chunked(text: string): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      if (sent >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(sent, sent + 64 * KB));
      sent += 64 * KB;
    },
  });
}

const JSON_HEADERS = { "Content-Type": "application/json" };

/** A cluster with some agents, tasks and a configuration change. */
async function busyCluster(): Promise<CheckedCluster> {
  const cluster = api.cluster();
  const agent = await cluster.register("a1");
  await cluster.submit({ id: "held" });
  await cluster.submit({ id: "waiting", type: "other" });
  await agent.acquire("disk");
  return cluster;
}

type Refusal = {
  what: string;
  method?: string;
  path: string;
  options?: RequestOptions;
  status: number;
  code: ErrorCode;
};

async function expectRefusal({ method = "POST", path, options = {}, status, code }: Refusal): Promise<void> {
  const cluster = await busyCluster();
  const before = await cluster.snapshot();

  const answer = await cluster.request(method, path, options);

  answer.problem(status, code);
  expect(answer.text).not.toContain(PLANTED);
  expect(await cluster.snapshot()).toEqual(before);
  const events = await cluster.eventsSoFar();
  expect(events.map(({ type, subject }) => `${type} ${subject}`)).toEqual([
    "agent.registered a1",
    "task.submitted held",
    "task.assigned held",
    "task.submitted waiting",
    "task.pending waiting",
    "config.changed config",
  ]);
}

const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);

describe("an invalid body", () => {
  it.each<Refusal>([
    {
      what: "is cut off",
      path: "/tasks",
      options: { raw: `{"type":"${PLANTED}"`, headers: JSON_HEADERS },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "is empty",
      path: "/tasks",
      options: { raw: "", headers: JSON_HEADERS },
      status: 400,
      code: "invalid_request",
    },
    { what: "is not there", path: "/tasks", status: 400, code: "invalid_request" },
    {
      what: "is a list",
      path: "/tasks",
      options: { json: [PLANTED] },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "is null",
      path: "/tasks",
      options: { json: null },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a number where text is due",
      path: "/tasks",
      options: { json: { id: PLANTED, type: 31415926 } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a value out of bounds",
      path: "/tasks",
      options: { json: { type: "work", priority: 31415926 } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a fraction where a whole number is due",
      path: "/tasks/held/start",
      options: { json: { agent_id: "a1", attempt: 1.5 } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has control characters in a name",
      path: "/tasks",
      options: { json: { type: `${PLANTED}\n` } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has an id that is none",
      path: "/tasks",
      options: { json: { id: `${PLANTED} `, type: "work" } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "sends a field that would change what an object is",
      path: "/tasks",
      options: { raw: `{"type":"work","__proto__":{"x":"${PLANTED}"}}`, headers: JSON_HEADERS },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "is nested too deep",
      path: "/tasks",
      options: { raw: `{"type":"work","data":${deep(64)}}`, headers: JSON_HEADERS },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "is nested so deep that walking it would break the stack",
      path: "/tasks",
      options: { raw: deep(100_000), headers: JSON_HEADERS },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "holds a number that would not be kept exactly",
      path: "/tasks",
      options: { raw: '{"type":"work","data":{"order":9007199254740993}}', headers: JSON_HEADERS },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "holds a key that would be lost",
      path: "/tasks",
      options: { raw: '{"type":"work","required_labels":{"__proto__":"x"}}', headers: JSON_HEADERS },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "is not UTF-8",
      path: "/tasks",
      options: { raw: new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]), headers: JSON_HEADERS },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "is encoded",
      path: "/tasks",
      options: { raw: "{}", headers: { ...JSON_HEADERS, "Content-Encoding": "gzip" } },
      status: 415,
      code: "unsupported_media_type",
    },
    {
      what: "names a type that turns the text around it",
      path: "/tasks",
      options: { json: { type: "work\u202ekrow" } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "holds a field where none is expected",
      path: "/tasks/held/cancel",
      options: { json: { reason: PLANTED } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "holds a field at a deletion",
      method: "DELETE",
      path: "/groups/default/agents/a1",
      options: { json: { reason: PLANTED } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a load beyond 1",
      path: "/groups/default/agents/a1/heartbeat",
      options: { json: { load: { cpu: 1.5, memory: 0 } } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "gives a lock a TTL beyond the configured one",
      path: "/groups/default/locks/other/acquire",
      options: { json: { agent_id: "a1", ttl_seconds: 7200 } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a message of no type",
      path: "/agents/a1/messages",
      options: { json: { content: PLANTED } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "is text",
      path: "/tasks",
      options: { raw: PLANTED, headers: { "Content-Type": "text/plain" } },
      status: 415,
      code: "unsupported_media_type",
    },
    {
      what: "is JSON that says it is a form",
      path: "/tasks",
      options: {
        raw: `{"type":"${PLANTED}"}`,
        headers: { "Content-Type": "application/x-www-form-urlencoded" },
      },
      status: 415,
      code: "unsupported_media_type",
    },
    {
      what: "is JSON that says nothing of its type",
      path: "/tasks",
      options: { raw: new Blob([`{"type":"${PLANTED}"}`]) },
      status: 415,
      code: "unsupported_media_type",
    },
    {
      what: "is a merge patch where none is taken",
      path: "/tasks",
      options: {
        raw: '{"type":"work"}',
        headers: { "Content-Type": "application/merge-patch+json" },
      },
      status: 415,
      code: "unsupported_media_type",
    },
    {
      what: "is larger than 256 KB",
      path: "/tasks",
      options: { raw: jsonOfBytes(256 * KB), headers: JSON_HEADERS },
      status: 413,
      code: "payload_too_large",
    },
    {
      what: "is larger than 256 KB and says not how large",
      path: "/tasks",
      options: { raw: chunked(jsonOfBytes(256 * KB)), headers: JSON_HEADERS },
      status: 413,
      code: "payload_too_large",
    },
    {
      what: "is larger than 256 KB and goes to an agent that is called like a batch",
      method: "PUT",
      path: "/groups/default/agents/results",
      options: {
        json: { type: "worker", capabilities: [], labels: { x: "x".repeat(256 * KB) } },
      },
      status: 413,
      code: "payload_too_large",
    },
    {
      what: "is larger than 8 MB of a batch",
      path: "/tasks/batch",
      options: { raw: jsonOfBytes(8 * MB), headers: JSON_HEADERS },
      status: 413,
      code: "payload_too_large",
    },
    {
      what: "is larger than 8 MB of a batch and says not how large",
      path: "/results",
      options: { raw: chunked(jsonOfBytes(8 * MB)), headers: JSON_HEADERS },
      status: 413,
      code: "payload_too_large",
    },
    {
      what: "is a batch of nothing",
      path: "/tasks/batch",
      options: { json: { tasks: [] } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "is a batch of more than a thousand",
      path: "/tasks/batch",
      options: { json: { tasks: Array.from({ length: 1001 }, () => ({ type: "work" })) } },
      status: 400,
      code: "invalid_request",
    },
  ])("is refused with $status $code when it $what", expectRefusal);

  it("is answered with the wrong fields and their paths", async () => {
    const answer = await api.cluster().request("PUT", "/groups/default/agents/a1", {
      json: { type: "", capabilities: ["ok", 7], labels: { tier: 1 }, max_concurrent_tasks: 0 },
    });

    const { errors } = answer.problem(400, "invalid_request");
    expect(new Set(errors?.map(({ path }) => path))).toEqual(
      new Set(["capabilities[1]", "labels.tier", "max_concurrent_tasks", "type"]),
    );
  });

  it("is answered with the nearest known key of an unknown one", async () => {
    const answer = await api.cluster().post("/tasks", { type: "work", prioritty: PLANTED });

    const { errors } = answer.problem(400, "invalid_request");
    expect(errors).toEqual([{ path: "prioritty", message: expect.stringContaining('"priority"') }]);
    expect(answer.text).not.toContain(PLANTED);
  });

  it("is answered with an unknown key escaped and cut to 64 characters", async () => {
    const answer = await api.cluster().post("/tasks", { type: "work", [`\u0000"${"k".repeat(500)}`]: 1 });

    const { errors } = answer.problem(400, "invalid_request");
    expect(errors).toHaveLength(1);
    expect(errors?.[0]?.message).not.toContain("\u0000");
    expect(answer.text).not.toContain("k".repeat(64));
  });

  it("is accepted at exactly 256 KB, and at exactly 64 levels", async () => {
    const cluster = api.cluster();
    const task = { id: "largest", type: "work", data: "" };
    const room = 256 * KB - JSON.stringify(task).length;

    const largest = await cluster.post("/tasks", { ...task, data: "x".repeat(room) });
    const deepest = await cluster.request("POST", "/tasks", {
      raw: `{"type":"work","data":${deep(63)}}`,
      headers: JSON_HEADERS,
    });

    expect(largest.status).toBe(201);
    expect(deepest.status).toBe(201);
  });

  it("may be missing, empty or an empty object where it is optional, with any content type", async () => {
    const cluster = api.cluster();
    const { path } = await cluster.register("a1");
    const beat = (options: RequestOptions) => cluster.request("POST", `${path}/heartbeat`, options);

    expect((await beat({})).status).toBe(200);
    expect((await beat({ raw: "", headers: JSON_HEADERS })).status).toBe(200);
    expect((await beat({ json: {} })).status).toBe(200);
  });

  it("may be sent in pieces, and with a charset", async () => {
    const answer = await api.cluster().request("POST", "/tasks", {
      raw: chunked(JSON.stringify({ type: "work" })),
      headers: { "Content-Type": "application/json; charset=utf-8" },
    });

    expect(answer.status).toBe(201);
  });
});

describe("an invalid path or query", () => {
  it.each<Refusal>([
    { what: "names no route", method: "GET", path: `/${PLANTED}`, status: 404, code: "not_found" },
    {
      what: "names no agent",
      method: "GET",
      path: `/agents/${PLANTED}`,
      status: 404,
      code: "not_found",
    },
    {
      what: "names no task",
      method: "GET",
      path: `/tasks/${PLANTED}`,
      status: 404,
      code: "not_found",
    },
    {
      what: "names no task to wait for",
      method: "GET",
      path: `/tasks/${PLANTED}?wait_seconds=5`,
      status: 404,
      code: "not_found",
    },
    {
      what: "names no task that has decisions",
      method: "GET",
      path: `/tasks/${PLANTED}/decisions`,
      status: 404,
      code: "not_found",
    },
    {
      what: "names no task to start",
      path: `/tasks/${PLANTED}/start`,
      options: { json: { agent_id: "a1", attempt: 1 } },
      status: 404,
      code: "not_found",
    },
    {
      what: "names no task to cancel",
      path: `/tasks/${PLANTED}/cancel`,
      status: 404,
      code: "not_found",
    },
    { what: "names no task to retry", path: `/tasks/${PLANTED}/retry`, status: 404, code: "not_found" },
    {
      what: "names no task to back up",
      method: "PUT",
      path: `/tasks/${PLANTED}/backups`,
      options: { json: { backups: ["a1"] } },
      status: 404,
      code: "not_found",
    },
    {
      what: "names no failure",
      method: "GET",
      path: `/failures/${PLANTED}`,
      status: 404,
      code: "not_found",
    },
    {
      what: "names no lock",
      method: "GET",
      path: `/groups/default/locks/${PLANTED}`,
      status: 404,
      code: "not_found",
    },
    {
      what: "names no lock to break",
      method: "DELETE",
      path: `/groups/default/locks/${PLANTED}`,
      status: 404,
      code: "not_found",
    },
    {
      what: "names no agent to unregister",
      method: "DELETE",
      path: `/groups/default/agents/${PLANTED}`,
      status: 404,
      code: "not_found",
    },
    {
      what: "names an agent of another group to unregister",
      method: "DELETE",
      path: "/groups/elsewhere/agents/a1",
      status: 404,
      code: "not_found",
    },
    {
      what: "names an agent of another group to look at",
      method: "GET",
      path: "/groups/elsewhere/agents/a1/tasks",
      status: 404,
      code: "not_found",
    },
    {
      what: "names no agent whose tasks are held",
      method: "GET",
      path: `/groups/default/agents/${PLANTED}/tasks`,
      status: 404,
      code: "not_found",
    },
    {
      what: "names no agent that has messages",
      method: "GET",
      path: `/groups/default/agents/${PLANTED}/messages`,
      status: 404,
      code: "not_found",
    },
    {
      what: "names an agent of another group that has messages",
      method: "GET",
      path: "/groups/elsewhere/agents/a1/messages",
      status: 404,
      code: "not_found",
    },
    {
      what: "names no agent that acknowledges a message",
      path: `/groups/default/agents/${PLANTED}/messages/1/ack`,
      status: 404,
      code: "not_found",
    },
    {
      what: "names no agent to send a message to",
      path: `/agents/${PLANTED}/messages`,
      options: { json: { message_type: "note" } },
      status: 404,
      code: "not_found",
    },
    {
      what: "names no agent to beat for",
      path: `/groups/default/agents/${PLANTED}/heartbeat`,
      status: 404,
      code: "not_found",
    },
    {
      what: "names no agent that failed",
      path: `/agents/${PLANTED}/failures`,
      options: { json: { failure_type: "reported" } },
      status: 404,
      code: "not_found",
    },
    {
      what: "has a task id that is none",
      method: "GET",
      path: `/tasks/${PLANTED}%20x`,
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has an agent id that is too long",
      method: "GET",
      path: `/agents/${PLANTED}${"x".repeat(128)}`,
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has an id with a slash in it",
      method: "GET",
      path: `/agents/${PLANTED}%2Fx`,
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has an agent id that starts with a dot",
      method: "PUT",
      path: "/groups/default/agents/.hidden",
      options: { json: { type: "worker", capabilities: [] } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a group id that is none",
      method: "GET",
      path: "/groups/~/locks",
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has percent-encoding that is none",
      method: "GET",
      path: "/groups/default/locks/%E0%A4%A",
      status: 404,
      code: "not_found",
    },
    {
      what: "has a lock name with a control character",
      method: "GET",
      path: "/groups/default/locks/a%00b",
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has an unknown query parameter where some are known",
      method: "GET",
      path: `/tasks?statuss=${PLANTED}`,
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has an unknown query parameter where none is known",
      method: "GET",
      path: `/status?verbose=${PLANTED}`,
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has an unknown query parameter at a write",
      path: `/tasks?dry_run=${PLANTED}`,
      options: { json: { type: "work" } },
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a filter that is none",
      method: "GET",
      path: `/tasks?status=${PLANTED}`,
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a filter twice",
      method: "GET",
      path: "/tasks?type=work&type=other",
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a limit of nothing",
      method: "GET",
      path: "/agents?limit=0",
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a limit that is not decimal",
      method: "GET",
      path: "/agents?limit=0x10",
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has an empty limit",
      method: "GET",
      path: "/agents?limit=",
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a wait that is not decimal",
      method: "GET",
      path: "/tasks/held?wait_seconds=0x1",
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has an attempt that is not decimal",
      path: "/tasks/held/late-results/0x1/accept",
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a limit beyond 500",
      method: "GET",
      path: "/failures?limit=501",
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a cursor of a list of tasks that no page gave out",
      method: "GET",
      path: `/tasks?cursor=${PLANTED}`,
      status: 400,
      code: "invalid_request",
    },
    {
      what: "has a cursor of a list of agents that no page gave out",
      method: "GET",
      path: `/agents?cursor=${PLANTED}%20`,
      status: 400,
      code: "invalid_request",
    },
    {
      what: "wants to wait for longer than 30 s",
      method: "GET",
      path: "/tasks/held?wait_seconds=31",
      status: 400,
      code: "invalid_request",
    },
    {
      what: "wants to wait for no number",
      method: "GET",
      path: `/groups/default/agents/a1/tasks?wait_seconds=${PLANTED}`,
      status: 400,
      code: "invalid_request",
    },
    {
      what: "wants failures since no instant",
      method: "GET",
      path: `/failures?since=${PLANTED}`,
      status: 400,
      code: "invalid_request",
    },
    {
      what: "resumes events after no number",
      method: "GET",
      path: "/events",
      options: { headers: { "Last-Event-ID": PLANTED } },
      status: 400,
      code: "invalid_request",
    },
  ])("is refused with $status $code when it $what", expectRefusal);

  it("is answered with the form of a number", async () => {
    const { errors } = (await api.cluster().get("/tasks", { limit: "0x10" })).problem(400, "invalid_request");

    expect(errors).toEqual([{ path: "limit", message: expect.stringContaining("a decimal number") }]);
  });

  it("is answered with the nearest known parameter of an unknown one", async () => {
    const { errors } = (await api.cluster().get("/tasks", { statuss: "pending" })).problem(
      400,
      "invalid_request",
    );

    expect(errors).toEqual([{ path: "statuss", message: expect.stringContaining('"status"') }]);
  });
});

describe("a method that a route does not have", () => {
  it.each([
    { method: "DELETE", path: "/tasks", allow: "GET, POST" },
    { method: "PUT", path: "/tasks/held/start", allow: "POST" },
    { method: "POST", path: "/config", allow: "GET, PATCH, PUT" },
    { method: "GET", path: "/groups/default/locks/db%2Forders/acquire", allow: "POST" },
    { method: "PATCH", path: "/groups/default/locks/db%2Forders", allow: "DELETE, GET" },
    { method: "OPTIONS", path: "/status", allow: "GET" },
  ])("is refused at $method $path, with the allowed methods", async ({ method, path, allow }) => {
    const answer = await api.cluster().request(method, path);

    answer.problem(405, "method_not_allowed");
    expect(answer.headers.get("Allow")).toBe(allow);
  });

  it("is refused outside of /v1 without a token", async () => {
    const answer = await api.request("POST", "/healthz", { token: null });

    answer.problem(405, "method_not_allowed");
    expect(answer.headers.get("Allow")).toBe("GET");
  });
});

it("a missing route is answered with a problem, also outside of /v1", async () => {
  (await api.request("GET", `/${PLANTED}`, { token: null })).problem(404, "not_found");
  (await api.request("GET", "/v2/clusters", { token: null })).problem(404, "not_found");
});

it("reading a cluster stores nothing", async () => {
  const cluster = api.cluster();

  const first = await cluster.snapshot();
  (await cluster.get("/tasks/none")).problem(404, "not_found");
  (await cluster.post("/tasks", { type: 7 })).problem(400, "invalid_request");
  (await cluster.tryConfigure("PATCH", { failover_config: { nabled: false } })).problem(
    400,
    "invalid_request",
  );

  expect(first.status).toMatchObject({ total_agents: 0, groups: [], config_version: 1, failure_count: 0 });
  expect(await cluster.snapshot()).toEqual(first);
  const events = await cluster.eventsSoFar();
  expect(events.map(({ id, type }) => ({ id, type }))).toEqual([{ id: 1, type: "config.changed" }]);
});

it("every request gets an id of its own", async () => {
  const cluster = api.cluster();
  const ids = await Promise.all(
    Array.from(
      { length: 20 },
      async () => (await cluster.get("/nothing")).problem(404, "not_found").request_id,
    ),
  );

  expect(new Set(ids).size).toBe(ids.length);
});
