/** Authentication, and the reach of an agent's token: its own agent, and no other. */
import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { apiOfThisFile, type TestAgent } from "../support/checked-cluster.ts";

const api = apiOfThisFile();

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const signature = (text: string, key: string, hash = "sha256") =>
  createHmac(hash, key).update(text).digest("base64url");

const Claims = z.looseObject({ incarnation: z.number() });

/** The parts of an agent's token. */
function partsOf({ token }: TestAgent) {
  const [header = "", payload = "", signed = ""] = token.split(".");
  return {
    header,
    payload,
    signed,
    claims: Claims.parse(JSON.parse(Buffer.from(payload, "base64url").toString())),
  };
}

type Forgery = { what: string; forge: (agent: TestAgent) => string };

const FORGERIES: Forgery[] = [
  { what: "is the administrator's with a character more", forge: () => `${api.server.adminToken}x` },
  { what: "is the administrator's with a character less", forge: () => api.server.adminToken.slice(0, -1) },
  { what: "is the signing key", forge: () => api.server.signingKey },
  { what: "is one letter", forge: () => "x" },
  { what: "is longer than any token", forge: () => "x".repeat(5000) },
  { what: "is three dots", forge: () => "..." },
  {
    what: "says that it is not signed",
    forge: (agent) => `${encode({ alg: "none", typ: "JWT" })}.${partsOf(agent).payload}.`,
  },
  {
    what: "says that it is not signed, and keeps the signature",
    forge: (agent) => {
      const { payload, signed } = partsOf(agent);
      return `${encode({ alg: "none", typ: "JWT" })}.${payload}.${signed}`;
    },
  },
  {
    what: "is signed with another key",
    forge: (agent) => {
      const { header, payload } = partsOf(agent);
      return `${header}.${payload}.${signature(`${header}.${payload}`, "another-key-0123456789abcdef0123456789")}`;
    },
  },
  {
    what: "is signed with an empty key",
    forge: (agent) => {
      const { header, payload } = partsOf(agent);
      return `${header}.${payload}.${signature(`${header}.${payload}`, "")}`;
    },
  },
  {
    what: "is signed with the key by another algorithm",
    forge: (agent) => {
      const text = `${encode({ alg: "HS512", typ: "JWT" })}.${partsOf(agent).payload}`;
      return `${text}.${signature(text, api.server.signingKey, "sha512")}`;
    },
  },
  {
    what: "names another agent under the old signature",
    forge: (agent) => {
      const { header, claims, signed } = partsOf(agent);
      return `${header}.${encode({ ...claims, sub: "a2" })}.${signed}`;
    },
  },
  {
    what: "makes itself an administrator under the old signature",
    forge: (agent) => {
      const { header, claims, signed } = partsOf(agent);
      return `${header}.${encode({ ...claims, role: "admin" })}.${signed}`;
    },
  },
  {
    what: "has lost its signature",
    forge: (agent) => {
      const { header, payload } = partsOf(agent);
      return `${header}.${payload}.`;
    },
  },
];

describe("a token that the server has not issued", () => {
  it.each(FORGERIES)("is refused when it $what", async ({ forge }) => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1");
    await cluster.register("a2");
    const before = await cluster.snapshot();
    const token = forge(agent);

    const calls = [
      cluster.request("POST", `${agent.path}/heartbeat`, { token }),
      cluster.request("GET", "/status", { token }),
      cluster.request("PUT", "/config", { token, json: {} }),
      cluster.request("POST", "/tasks", { token, json: { type: "work" } }),
      cluster.request("PUT", "/groups/default/agents/a2", {
        token,
        json: { type: "worker", capabilities: [] },
      }),
    ];
    for (const answer of await Promise.all(calls)) {
      answer.problem(401, "unauthorized");
      expect(answer.headers.get("WWW-Authenticate")).toBe("Bearer");
      if (token.length > 3) expect(answer.text).not.toContain(token);
    }

    expect(await cluster.snapshot()).toEqual(before);
  });

  it.each([
    { what: "is missing", header: {} },
    { what: "has no scheme", header: { Authorization: "test-admin-token.0123456789abcdef" } },
    { what: "comes by another scheme", header: { Authorization: "Basic dGVzdDp0ZXN0" } },
    { what: "is empty", header: { Authorization: "Bearer " } },
    { what: "has a space in it", header: { Authorization: "Bearer a b" } },
    { what: "comes in another header", header: { "X-Api-Key": "test-admin-token.0123456789abcdef" } },
  ])("is refused when it $what", async ({ header }) => {
    const { path } = api.cluster();

    (await api.request("GET", `${path}/status`, { token: null, headers: header })).problem(
      401,
      "unauthorized",
    );
  });

  it("is refused in the query, where it would be logged", async () => {
    const { path } = api.cluster();

    const answer = await api.request("GET", `${path}/status?token=${api.server.adminToken}`, { token: null });

    answer.problem(401, "unauthorized");
    expect(answer.text).not.toContain(api.server.adminToken);
  });

  it("has the same answer for existing and missing routes", async () => {
    for (const path of ["/v1", "/v1/nothing", "/v1/clusters/c/tasks/t1", "/v1/clusters/~"]) {
      (await api.request("GET", path, { token: null })).problem(401, "unauthorized");
    }
  });

  it("is refused before its body is read", async () => {
    const { path } = api.cluster();

    const answer = await api.request("POST", `${path}/tasks`, {
      token: "wrong",
      raw: "{",
      headers: { "Content-Type": "application/json" },
    });

    answer.problem(401, "unauthorized");
  });
});

it("the scheme may be in any case, as HTTP allows", async () => {
  const { path } = api.cluster();
  const headers = { Authorization: `bearer ${api.server.adminToken}` };

  expect((await api.request("GET", `${path}/status`, { token: null, headers })).status).toBe(200);
});

describe("an agent's token", () => {
  const REPORT = { agent_id: "a2", attempt: 1 };

  it.each([
    { method: "POST", path: "/groups/default/agents/a2/heartbeat" },
    { method: "GET", path: "/groups/default/agents/a2/tasks" },
    { method: "GET", path: "/groups/default/agents/a2/messages" },
    { method: "GET", path: "/groups/default/agents/a2/messages?wait_seconds=5" },
    { method: "POST", path: "/groups/default/agents/a2/messages/1/ack" },
    { method: "POST", path: "/agents/a2/messages", json: { from: "a2", message_type: "note" } },
    { method: "POST", path: "/agents/a2/messages", json: { from: "operator", message_type: "note" } },
    { method: "POST", path: "/agents/a1/messages", json: { from: "a2", message_type: "note" } },
    { method: "DELETE", path: "/groups/default/agents/a2" },
    { method: "GET", path: "/agents/a2" },
    { method: "GET", path: "/agents" },
    { method: "POST", path: "/agents/a2/failures", json: { failure_type: "reported" } },
    { method: "POST", path: "/agents/a1/failures", json: { failure_type: "reported" } },
    { method: "PUT", path: "/groups/elsewhere/agents/a1", json: { type: "w", capabilities: [] } },
    { method: "POST", path: "/tasks", json: { type: "work" } },
    { method: "POST", path: "/tasks/batch", json: { tasks: [{ type: "work" }] } },
    { method: "GET", path: "/tasks" },
    { method: "GET", path: "/tasks/theirs" },
    { method: "GET", path: "/tasks/theirs?wait_seconds=5" },
    { method: "GET", path: "/tasks/unplaced" },
    { method: "GET", path: "/tasks/theirs/decisions" },
    { method: "POST", path: "/tasks/theirs/start", json: REPORT },
    { method: "POST", path: "/tasks/theirs/progress", json: { ...REPORT, progress: 0.5 } },
    { method: "POST", path: "/tasks/theirs/complete", json: REPORT },
    { method: "POST", path: "/tasks/theirs/fail", json: { ...REPORT, error: { message: "no" } } },
    { method: "POST", path: "/results", json: { results: [{ task_id: "theirs", ...REPORT, result: 1 }] } },
    { method: "POST", path: "/tasks/theirs/cancel" },
    { method: "POST", path: "/tasks/mine/cancel" },
    { method: "POST", path: "/tasks/theirs/retry" },
    { method: "PUT", path: "/tasks/mine/backups", json: { backups: [] } },
    { method: "POST", path: "/groups/default/locks/disk/acquire", json: { agent_id: "a2" } },
    { method: "POST", path: "/groups/elsewhere/locks/disk/acquire", json: { agent_id: "a1" } },
    { method: "GET", path: "/groups/default/locks" },
    { method: "DELETE", path: "/groups/default/locks/theirs" },
    { method: "GET", path: "/failures" },
    { method: "GET", path: "/events" },
    { method: "GET", path: "/notifications" },
    { method: "GET", path: "/status" },
    { method: "GET", path: "/config" },
    { method: "PUT", path: "/config", json: {} },
    { method: "PATCH", path: "/config", json: {} },
  ])("may not $method $path", async ({ method, path, json }) => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", { capabilities: ["mine"] });
    const other = await cluster.register("a2", { capabilities: ["theirs"] });
    await cluster.submit({ id: "mine", type: "mine" });
    await cluster.submit({ id: "theirs", type: "theirs" });
    await cluster.submit({ id: "unplaced", type: "nobody" });
    await other.acquire("theirs");
    await cluster.tell("a2", { message_type: "theirs" });
    const before = await cluster.snapshot();

    (await agent.request(method, path, json)).problem(403, "forbidden");

    expect(await cluster.snapshot()).toEqual(before);
  });

  it("is valid for its agent in its own cluster only", async () => {
    const home = api.cluster();
    const abroad = api.cluster();
    const agent = await home.register("a1");
    await abroad.register("a1");
    await abroad.submit({ id: "t1" });
    const { token, path } = agent;

    for (const call of [
      abroad.request("POST", `${path}/heartbeat`, { token }),
      abroad.request("GET", `${path}/tasks`, { token }),
      abroad.request("GET", `${path}/messages`, { token }),
      abroad.request("POST", "/agents/a1/messages", { token, json: { message_type: "note" } }),
      abroad.request("GET", "/tasks/t1", { token }),
      abroad.request("PUT", path, { token, json: { type: "w", capabilities: [] } }),
      abroad.request("POST", "/tasks/t1/start", { token, json: { agent_id: "a1", attempt: 1 } }),
    ]) {
      (await call).problem(403, "forbidden");
    }
    expect((await abroad.task("t1")).status).toBe("assigned");
  });

  it("allows reading the tasks of its agent, also when they are done", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1");
    await cluster.submit({ id: "t1" });

    expect((await agent.request("GET", "/tasks/t1")).status).toBe(200);
    await agent.reported("complete", "t1");
    expect((await agent.request("GET", "/tasks/t1")).status).toBe(200);
  });

  it("reveals no secret, and differs each time", async () => {
    const cluster = api.cluster();
    const tokens = [
      await cluster.register("a1"),
      await cluster.register("a1"),
      await cluster.register("a2"),
    ].map(({ token }) => token);

    expect(new Set(tokens).size).toBe(3);
    for (const token of tokens) {
      const read = Buffer.from(token.replaceAll(".", ""), "base64url").toString("latin1");
      expect(read).not.toContain(api.server.signingKey);
      expect(read).not.toContain(api.server.adminToken);
    }
  });
});

it("appears in no log, nor does data of a task", async () => {
  const cluster = api.cluster();
  const agent = await cluster.register("a1");
  await cluster.submit({ id: "t1", data: "planted-data" });
  await cluster.request("GET", "/status", { token: "planted-token" });
  await cluster.post("/agents/a1/failures", { failure_type: "reported" });

  for (const secret of [agent.token, api.server.adminToken, "planted-data", "planted-token"]) {
    expect(api.server.output()).not.toContain(secret);
  }
});
