/** The configuration over HTTP: reading it, changing it, its secrets, and the effect of a change. */
import { describe, expect, it } from "vitest";
import { ConfigRevisionPage } from "../../src/contract/config/revision.ts";
import { ChangedConfig } from "../../src/contract/config.ts";
import { Readiness } from "../../src/contract/placement/failover-simulation.ts";
import { apiOfThisFile, type CheckedCluster, type JsonObject } from "../support/checked-cluster.ts";
import { reference } from "../support/configurations.ts";

const api = apiOfThisFile();

/** The configuration before any change. */
const untouched = async () => (await api.cluster().config()).config;

/** Everything that can be read of a cluster, as text. */
async function everything(cluster: CheckedCluster): Promise<string> {
  return JSON.stringify([await cluster.snapshot(), await cluster.eventsSoFar(), api.server.output()]);
}

describe("reading", () => {
  it("shows every key with its value from the file, and an ETag", async () => {
    const { config, etag } = await api.cluster().config();

    expect(config).toMatchObject({
      failover_config: { enabled: true, max_reassignment_attempts: 3, reliability_threshold: 0.8 },
      failure_notification: { notification_types: ["log", "system"], min_severity: "warning" },
      heartbeat_config: { interval_seconds: 10, timeout_seconds: 30, reconnect_grace_seconds: 5 },
      lock_config: { default_ttl_seconds: 30, lock_delay_seconds: 0 },
      task_config: { retention_seconds: 604_800, late_result_policy: "keep" },
      safe_mode_config: { enabled: true, min_agents: 5 },
    });
    expect(etag).toMatch(/^"[^"]+"$/);
  });
});

describe("the changes", () => {
  it("are listed page by page, the newest first, and the event names their keys", async () => {
    const cluster = api.cluster();
    await using events = await cluster.events();
    await cluster.configure({ failover_config: { max_reassignment_attempts: 7 } });
    await cluster.configure({ failover_config: { max_reassignment_attempts: 8 } });

    const first = (await cluster.get("/config/changes", { limit: 1 })).as(200, ConfigRevisionPage);
    const key = "failover_config.max_reassignment_attempts";
    expect(first.items).toEqual([
      { at: expect.any(String), version: 3, source: "call", changes: [{ key, from: 7, to: 8 }] },
    ]);
    const cursor = first.next_cursor ?? "";
    const second = (await cluster.get("/config/changes", { cursor })).as(200, ConfigRevisionPage);
    expect(second).toMatchObject({
      items: [{ version: 2, changes: [{ key, from: 3, to: 7 }] }],
      next_cursor: null,
    });
    const event = await events.first(({ type }) => type === "config.changed", "the event");
    expect(event.data).toEqual({ version: 2, keys: [key] });
  });
});

describe("PATCH", () => {
  it("changes the named keys, answers with the whole configuration, and counts a version", async () => {
    const cluster = api.cluster();
    const before = await cluster.config();

    const answer = await cluster.tryConfigure("PATCH", {
      failover_config: { max_reassignment_attempts: 7, backup_agents: { a1: ["a2", "a3"], a4: "a5" } },
    });

    const { applied, ...changed } = answer.as(200, ChangedConfig);
    expect(applied).toEqual({ agents: 0, keep_own: 0 });
    expect(changed).toEqual({
      ...before.config,
      failover_config: {
        ...before.config.failover_config,
        max_reassignment_attempts: 7,
        backup_agents: { a1: ["a2", "a3"], a4: "a5" },
      },
    });
    const after = await cluster.config();
    expect(after.config).toEqual(changed);
    expect(answer.headers.get("ETag")).toBe(after.etag);
    expect(after.etag).not.toBe(before.etag);
    expect((await cluster.status()).config_version).toBe(2);
  });

  it("takes one entry of a map, a key or a section back to the file with null", async () => {
    const cluster = api.cluster();
    await cluster.configure({
      failover_config: { backup_agents: { a1: "a2", a3: "a4" }, max_reassignment_attempts: 9 },
      lock_config: { default_ttl_seconds: 11, lock_delay_seconds: 2 },
    });

    const changed = await cluster.configure({
      failover_config: { backup_agents: { a1: null }, max_reassignment_attempts: null },
      lock_config: null,
    });

    expect(changed.failover_config).toMatchObject({
      backup_agents: { a3: "a4" },
      max_reassignment_attempts: 3,
    });
    expect(changed.lock_config).toEqual((await untouched()).lock_config);
  });

  it("may have the content type of a merge patch", async () => {
    const cluster = api.cluster();

    const answer = await cluster.request("PATCH", "/config", {
      raw: '{"failover_config":{"enabled":false}}',
      headers: { "Content-Type": "application/merge-patch+json" },
    });

    expect(answer.as(200, ChangedConfig).failover_config.enabled).toBe(false);
  });
});

describe("PUT", () => {
  it("replaces all changes: omitted keys are as in the file", async () => {
    const cluster = api.cluster();
    await cluster.configure({ failover_config: { max_reassignment_attempts: 9 } });

    const { applied: _, ...changed } = (
      await cluster.tryConfigure("PUT", { lock_config: { default_ttl_seconds: 12, max_ttl_seconds: null } })
    ).as(200, ChangedConfig);

    const base = await untouched();
    expect(changed).toEqual({ ...base, lock_config: { ...base.lock_config, default_ttl_seconds: 12 } });
  });

  it("of the unchanged configuration changes nothing, however often", async () => {
    const cluster = api.cluster();
    await cluster.configure({
      failover_config: { backup_agents: { a1: "a2" } },
      webhook_notification: { secret: "s3cret-value", headers: { "X-Key": "k3y-value" } },
    });
    const { config } = await cluster.config();

    for (let n = 0; n < 2; n++) {
      const { applied: _, ...changed } = (await cluster.tryConfigure("PUT", config)).as(200, ChangedConfig);
      expect(changed).toEqual(config);
    }
  });
});

describe("a change that is not valid", () => {
  it.each<{ what: string; patch: JsonObject; path: string }>([
    { what: "an unknown key", patch: { lock_config: { ttl: 1 } }, path: "lock_config.ttl" },
    { what: "an unknown section", patch: { locks: {} }, path: "locks" },
    {
      what: "a wrong type",
      patch: { failover_config: { enabled: "planted-value" } },
      path: "failover_config.enabled",
    },
    {
      what: "a value out of bounds",
      patch: { failover_config: { reliability_threshold: 1.5 } },
      path: "failover_config.reliability_threshold",
    },
    {
      what: "a time-out no longer than the interval",
      patch: { heartbeat_config: { interval_seconds: 30 } },
      path: "heartbeat_config.timeout_seconds",
    },
    {
      what: "an agent that is its own backup",
      patch: { failover_config: { backup_agents: { a1: "a1" } } },
      path: "failover_config.backup_agents.a1",
    },
    {
      what: "a redacted secret where none is set",
      patch: { email_notification: { password: "[redacted]" } },
      path: "email_notification.password",
    },
    {
      what: "a header with a line break",
      patch: { webhook_notification: { headers: { "X-Key": "planted-value\r\nEvil: yes" } } },
      path: 'webhook_notification.headers["X-Key"]',
    },
  ])("is refused with the path of $what, and changes nothing", async ({ patch, path }) => {
    const cluster = api.cluster();
    const before = await cluster.snapshot();

    for (const method of ["PATCH", "PUT"] as const) {
      const answer = await cluster.tryConfigure(method, patch);
      const { errors } = answer.problem(400, "invalid_request");
      expect(errors?.map((error) => error.path)).toContain(path);
      expect(answer.text).not.toContain("planted-value");
    }

    expect(await cluster.snapshot()).toEqual(before);
  });

  it("is answered with the nearest known key", async () => {
    const answer = await api.cluster().tryConfigure("PATCH", { failover_config: { enabeld: true } });

    const { errors } = answer.problem(400, "invalid_request");
    expect(errors?.[0]?.message).toContain('"enabled"');
  });
});

describe("If-Match", () => {
  it("accepts a change of the current version, and refuses any other", async () => {
    const cluster = api.cluster();
    const { etag: first } = await cluster.config();
    const change = (seconds: number, ifMatch: string) =>
      cluster.tryConfigure(
        "PATCH",
        { lock_config: { lock_delay_seconds: seconds } },
        { "If-Match": ifMatch },
      );

    expect((await change(1, first)).status).toBe(200);
    const { etag: second } = await cluster.config();
    (await change(2, first)).problem(412, "config_changed");
    (await change(2, '"nonsense"')).problem(412, "config_changed");
    (await cluster.tryConfigure("PUT", {}, { "If-Match": first })).problem(412, "config_changed");
    expect((await cluster.config()).config.lock_config.lock_delay_seconds).toBe(1);

    expect((await change(3, second)).status).toBe(200);
    expect((await change(4, "*")).status).toBe(200);
    expect((await cluster.config()).config.lock_config.lock_delay_seconds).toBe(4);
  });

  it("accepts a list of tags, as HTTP allows", async () => {
    const cluster = api.cluster();
    const { etag } = await cluster.config();

    const answer = await cluster.tryConfigure("PATCH", {}, { "If-Match": `"other", ${etag}` });

    expect(answer.status).toBe(200);
  });

  it("accepts one of two simultaneous changes of the same version", async () => {
    const cluster = api.cluster();
    const { etag } = await cluster.config();

    const answers = await Promise.all(
      [1, 2, 3].map((seconds) =>
        cluster.tryConfigure("PATCH", { lock_config: { lock_delay_seconds: seconds } }, { "If-Match": etag }),
      ),
    );

    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412]);
  });
});

describe("a secret", () => {
  const SECRETS = {
    email_notification: { password: "pa55word-literal", username: "ops" },
    webhook_notification: {
      url: "https://hooks.example.org/x",
      secret: "s1gning-literal",
      headers: { "Content-Type": "application/json", Authorization: "Bearer t0ken-literal" },
    },
  };
  const LITERALS = ["pa55word-literal", "s1gning-literal", "t0ken-literal"];

  it("appears in no answer, event or log", async () => {
    const cluster = api.cluster();

    const changed = await cluster.configure(SECRETS);
    await cluster.register("a1");
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });

    expect(changed.email_notification).toMatchObject({ password: "[redacted]", username: "ops" });
    expect(changed.webhook_notification).toMatchObject({
      url: "https://hooks.example.org/x",
      secret: "[redacted]",
      headers: { "Content-Type": "application/json", Authorization: "[redacted]" },
    });
    const seen = await everything(cluster);
    for (const literal of LITERALS) expect(seen).not.toContain(literal);
  });

  it("is kept when its redacted form is sent back, changes with a new value, and can be removed", async () => {
    const cluster = api.cluster();
    await cluster.configure(SECRETS);
    const { config } = await cluster.config();
    await cluster.tryConfigure("PUT", config);
    await cluster.configure({ webhook_notification: { secret: "[redacted]" } });
    expect((await cluster.config()).config).toEqual(config);

    await cluster.configure({ webhook_notification: { secret: "an0ther-literal" } });
    expect((await cluster.config()).config).toEqual(config);

    const taken = await cluster.configure({ webhook_notification: { secret: null, headers: null } });
    expect(taken.webhook_notification).toMatchObject({
      secret: "",
      headers: { "Content-Type": "application/json" },
    });
  });

  it("that is named but not set is a warning in the readiness report, and its name is shown", async () => {
    const cluster = api.cluster();
    const named = { password: reference("NO_SUCH_PASSWORD") };

    const changed = await cluster.configure({ email_notification: named });

    expect(changed.email_notification.password).toBe(named.password);
    expect((await cluster.get("/readiness")).as(200, Readiness).configuration_warnings).toEqual([
      {
        path: "email_notification.password",
        message: "names the secret NO_SUCH_PASSWORD, which is not set in the environment of the server",
      },
    ]);
    await cluster.tryConfigure("PUT", changed);
    expect((await cluster.config()).config).toEqual(changed);
  });

  it("does not appear in the error of a change that is refused for another reason", async () => {
    const cluster = api.cluster();

    const answer = await cluster.tryConfigure("PUT", {
      ...SECRETS,
      lock_config: { default_ttl_seconds: -1 },
    });

    answer.problem(400, "invalid_request");
    for (const literal of LITERALS) expect(answer.text).not.toContain(literal);
  });
});

describe("a change takes effect", () => {
  it("for the heartbeats of agents that register afterwards", async () => {
    const cluster = api.cluster();
    await cluster.configure({ heartbeat_config: { interval_seconds: 2, timeout_seconds: 7 } });

    const { registered } = await cluster.register("a1");

    expect(registered).toMatchObject({ heartbeat_interval_seconds: 2, heartbeat_timeout_seconds: 7 });
  });

  it("for the timeout of live agents that chose none, and the answer says for how many", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1");
    await cluster.register("a2", { heartbeat_interval_seconds: 10, heartbeat_timeout_seconds: 30 });

    const answer = await cluster.tryConfigure("PATCH", { heartbeat_config: { timeout_seconds: 90 } });

    expect(answer.as(200, ChangedConfig).applied).toEqual({ agents: 1, keep_own: 1 });
    expect((await cluster.agent("a1")).heartbeat_timeout_seconds).toBe(90);
    expect((await cluster.agent("a2")).heartbeat_timeout_seconds).toBe(30);
    const { deadline_at } = await agent.heartbeat();
    expect(Date.parse(deadline_at) - Date.now()).toBeGreaterThan(80_000);
  });

  it("for locks in every group, once the change is answered", async () => {
    const cluster = api.cluster();
    const north = await cluster.register("a1", { group: "north" });
    const south = await cluster.register("a2", { group: "south" });
    await cluster.configure({ lock_config: { default_ttl_seconds: 4, max_ttl_seconds: 5 } });
    const later = await cluster.register("a3", { group: "later" });

    for (const agent of [north, south, later]) {
      expect((await agent.acquire("disk")).ttl_seconds).toBe(4);
      expect((await agent.acquire("other", { ttl_seconds: 5 })).ttl_seconds).toBe(5);
      const { errors } = (await agent.tryAcquire("third", { ttl_seconds: 5.1 })).problem(
        400,
        "invalid_request",
      );
      expect(errors?.map(({ path }) => path)).toEqual(["ttl_seconds"]);
    }
  });

  it("for a lock whose holder failed: it stays closed for the configured time", async () => {
    const cluster = api.cluster();
    await cluster.configure({ lock_config: { lock_delay_seconds: 60 } });
    const one = await cluster.register("a1");
    const other = await cluster.register("a2");
    await one.acquire("disk");
    const released = await one.acquire("released");
    await one.proof("release", "released", released.fencing_token);
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });

    const problem = (await other.tryAcquire("disk")).problem(409, "lock_held");

    expect(problem.holder).toBeNull();
    expect(Date.parse(String(problem.expires_at)) - Date.now()).toBeGreaterThan(30_000);
    expect((await other.acquire("released")).holder).toBe("a2");
  });

  it("for failover: when it is off, tasks stay and locks end by their TTL", async () => {
    const cluster = api.cluster();
    await cluster.configure({
      failover_config: { enabled: false },
      failure_notification: { group_wait_seconds: 0 },
    });
    const agent = await cluster.register("a1");
    await cluster.submit({ id: "t1" });
    await agent.acquire("disk", { ttl_seconds: 1 });
    await cluster.register("a2");
    await using events = await cluster.events();

    await cluster.post("/agents/a1/failures", { failure_type: "reported" });

    expect(await cluster.task("t1")).toMatchObject({ status: "assigned", assigned_to: "a1", attempt: 1 });
    const [failure] = (await cluster.failures()).items;
    expect(failure).toMatchObject({ failure_type: "reported", tasks_reassigned: 0, locks_released: [] });
    expect(await cluster.toldOf(failure?.id ?? "")).not.toEqual([]);
    expect((await cluster.locks()).items.map(({ holder }) => holder)).toEqual(["a1"]);
    await events.first(({ type, subject }) => type === "lock.expired" && subject === "disk", "the TTL");
    expect((await cluster.locks()).items).toEqual([]);
  });

  it("in one cluster alone", async () => {
    const changed = api.cluster();
    await changed.configure({ failover_config: { enabled: false } });

    expect((await untouched()).failover_config.enabled).toBe(true);
  });
});
