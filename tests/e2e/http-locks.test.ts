/** Locks: their holders, their ends, and their fencing tokens. */
import { describe, expect, it } from "vitest";
import { LockAnswer } from "../../src/contract/lock.ts";
import { apiOfThisFile, type CheckedCluster } from "../support/checked-cluster.ts";
import { until } from "../support/until.ts";

const api = apiOfThisFile();

/** Two agents in one group. */
async function rivals() {
  const cluster = api.cluster();
  return { cluster, one: await cluster.register("a1"), other: await cluster.register("a2") };
}

/** Waits until no agent holds the lock. */
const freed = (cluster: CheckedCluster, resource: string) =>
  until(
    async () => (await cluster.get(`/groups/default/locks/${resource}`)).status === 404,
    `${resource} to be free`,
  );

describe("acquiring", () => {
  it("grants a free lock for the configured TTL unless another is requested", async () => {
    const { cluster, one } = await rivals();

    const lock = await one.acquire("disk");
    const brief = await one.acquire("brief", { ttl_seconds: 5.5 });

    expect(lock).toMatchObject({
      resource: "disk",
      group: "default",
      holder: "a1",
      incarnation: one.incarnation,
      ttl_seconds: 30,
      waiters: [],
    });
    expect(Date.parse(lock.expires_at ?? "") - Date.parse(lock.acquired_at)).toBe(30_000);
    expect(brief.ttl_seconds).toBe(5.5);
    expect((await cluster.get("/groups/default/locks/disk")).as(200, LockAnswer).lock).toEqual(lock);
    expect((await cluster.status()).locked_resources).toBe(2);
  });

  it("refuses a held one with its holder and its end", async () => {
    const { one, other } = await rivals();
    const lock = await one.acquire("disk");

    const problem = (await other.tryAcquire("disk")).problem(409, "lock_held");

    expect(problem).toMatchObject({ holder: "a1", expires_at: lock.expires_at });
  });

  it("renews the holder's own lock under the same token", async () => {
    const { one } = await rivals();
    const first = await one.acquire("disk", { ttl_seconds: 10 });

    const second = await one.acquire("disk", { ttl_seconds: 20 });

    expect(second).toMatchObject({
      fencing_token: first.fencing_token,
      acquired_at: first.acquired_at,
      ttl_seconds: 20,
    });
    expect(Date.parse(second.expires_at ?? "")).toBeGreaterThan(Date.parse(first.expires_at ?? ""));
  });

  it("grants a lock to one of many agents that ask at once", async () => {
    const cluster = api.cluster();
    const agents = await Promise.all(Array.from({ length: 10 }, (_, n) => cluster.register(`a${n}`)));

    const answers = await Promise.all(agents.map((agent) => agent.tryAcquire("disk")));

    expect(answers.map(({ status }) => status).sort()).toEqual([
      200,
      ...Array.from({ length: 9 }, () => 409),
    ]);
  });

  it.each([
    { what: "a slash", encoded: "db%2Forders", name: "db/orders" },
    { what: "a space and a percent sign", encoded: "100%25%20sure", name: "100% sure" },
    { what: "an encoded slash in its very name", encoded: "a%252Fb", name: "a%2Fb" },
    { what: "a question mark and a hash", encoded: "what%3F%23", name: "what?#" },
    { what: "messages of the world", encoded: encodeURIComponent("склад-倉庫-😀"), name: "склад-倉庫-😀" },
    { what: "256 characters", encoded: "x".repeat(256), name: "x".repeat(256) },
    { what: "a word that is a verb elsewhere", encoded: "acquire", name: "acquire" },
    { what: "an object's own words", encoded: "__proto__", name: "__proto__" },
  ])("accepts a name with $what", async ({ encoded, name }) => {
    const { cluster, one } = await rivals();

    const { resource, fencing_token } = await one.acquire(encoded);

    expect(resource).toBe(name);
    const shown = (await cluster.get(`/groups/default/locks/${encoded}`)).as(200, LockAnswer);
    expect(shown.lock.resource).toBe(name);
    expect((await one.proof("release", encoded, fencing_token)).status).toBe(200);
    expect((await cluster.locks()).items).toEqual([]);
  });

  it("refuses a name that is too long", async () => {
    const { one } = await rivals();

    (await one.tryAcquire("x".repeat(257))).problem(400, "invalid_request");
  });

  it("treats a lock of the same name in another group as another lock", async () => {
    const cluster = api.cluster();
    const north = await cluster.register("a1", { group: "north" });
    const south = await cluster.register("a2", { group: "south" });

    expect((await north.acquire("disk")).holder).toBe("a1");
    expect((await south.acquire("disk")).holder).toBe("a2");
    (
      await cluster.request("POST", "/groups/south/locks/other/acquire", {
        token: north.token,
        json: { agent_id: "a1" },
      })
    ).problem(403, "forbidden");
  });

  it("is refused to an agent that is not live, and to one that names another agent", async () => {
    const { cluster, one, other } = await rivals();
    await one.unregister();

    (await one.tryAcquire("disk")).problem(410, "session_expired");
    (await other.tryAcquire("disk", { agent_id: "a1" })).problem(403, "forbidden");
    (await cluster.post("/groups/default/locks/disk/acquire", { agent_id: "nobody" })).problem(
      410,
      "session_expired",
    );
    expect((await cluster.locks()).items).toEqual([]);
  });

  it("can be done by an operator for an agent", async () => {
    const { cluster, one } = await rivals();

    const { lock } = (await cluster.post("/groups/default/locks/disk/acquire", { agent_id: "a1" })).as(
      200,
      LockAnswer,
    );

    expect(lock).toMatchObject({ holder: "a1", incarnation: one.incarnation });
  });
});

describe("renewing", () => {
  it("restarts the TTL", async () => {
    const { one } = await rivals();
    const first = await one.acquire("disk", { ttl_seconds: 20 });

    const { lock } = (await one.proof("renew", "disk", first.fencing_token)).as(200, LockAnswer);

    expect(lock).toMatchObject({ fencing_token: first.fencing_token, ttl_seconds: 20 });
    expect(Date.parse(lock.expires_at ?? "")).toBeGreaterThanOrEqual(Date.parse(first.expires_at ?? ""));
  });

  it("is refused with a stale token, and with another agent's token", async () => {
    const { one, other } = await rivals();
    const { fencing_token } = await one.acquire("disk");

    (await one.proof("renew", "disk", fencing_token + 1)).problem(409, "stale_fencing_token");
    (await other.proof("renew", "disk", fencing_token)).problem(403, "forbidden");
    (await one.proof("renew", "never-locked", 1)).problem(409, "stale_fencing_token");
  });

  it("keeps a lock for longer than its first TTL", async () => {
    const { cluster, one } = await rivals();
    const { fencing_token, acquired_at } = await one.acquire("disk", { ttl_seconds: 1 });

    await until(async () => {
      const { lock } = (await one.proof("renew", "disk", fencing_token)).as(200, LockAnswer);
      return Date.parse(lock.expires_at ?? "") - Date.parse(acquired_at) > 2500;
    }, "the TTL to have passed");

    expect((await cluster.locks()).items.map(({ holder }) => holder)).toEqual(["a1"]);
  });
});

describe("releasing", () => {
  it("frees the lock, and a repeated call has the same answer, also once another agent holds the lock", async () => {
    const { cluster, one, other } = await rivals();
    const { fencing_token } = await one.acquire("disk");
    const release = async () => (await one.proof("release", "disk", fencing_token)).as(200, LockAnswer).lock;

    const first = await release();
    expect(first).toMatchObject({ resource: "disk", holder: null, expires_at: null, fencing_token });
    expect(await release()).toEqual(first);
    const next = await other.acquire("disk");
    expect(await release()).toMatchObject({ holder: null, fencing_token });

    expect((await cluster.locks()).items).toEqual([next]);
  });

  it("has the same answer when it is repeated after other agents have released the lock too", async () => {
    const { one, other } = await rivals();
    const { fencing_token } = await one.acquire("disk", { ttl_seconds: 7 });
    const release = async () => (await one.proof("release", "disk", fencing_token)).as(200, LockAnswer).lock;
    const first = await release();
    for (let grants = 0; grants < 3; grants++) {
      const next = await other.acquire("disk", { ttl_seconds: 9 });
      await other.proof("release", "disk", next.fencing_token);
    }

    expect(await release()).toEqual(first);
    (await one.proof("renew", "disk", fencing_token)).problem(409, "stale_fencing_token");
  });

  it("is refused to other agents with a token that its holder has used, and repeated for an operator", async () => {
    const { cluster, one, other } = await rivals();
    const { fencing_token } = await one.acquire("disk");
    const first = (await one.proof("release", "disk", fencing_token)).as(200, LockAnswer);

    (await other.proof("release", "disk", fencing_token)).problem(403, "forbidden");
    await other.acquire("disk");
    (await other.proof("release", "disk", fencing_token)).problem(403, "forbidden");

    const again = await cluster.post("/groups/default/locks/disk/release", { fencing_token });
    expect(again.as(200, LockAnswer)).toEqual(first);
  });

  it("is refused with a stale token, and with another agent's token", async () => {
    const { cluster, one, other } = await rivals();
    const first = await one.acquire("disk");
    await one.proof("release", "disk", first.fencing_token);
    const second = await other.acquire("disk");

    (await one.proof("release", "disk", second.fencing_token)).problem(403, "forbidden");
    (await one.proof("release", "disk", second.fencing_token + 1)).problem(409, "stale_fencing_token");
    (await one.proof("renew", "disk", first.fencing_token)).problem(409, "stale_fencing_token");

    expect((await cluster.locks()).items.map(({ holder }) => holder)).toEqual(["a2"]);
  });
});

describe("a lock ends", () => {
  it("when its TTL passes, with an event", async () => {
    const { cluster, one, other } = await rivals();
    await using events = await cluster.events();
    const { fencing_token } = await one.acquire("disk", { ttl_seconds: 0.3 });

    const expired = await events.first(({ type }) => type === "lock.expired", "the expiry");

    expect(expired).toMatchObject({ subject: "disk", data: { holder: "a1", fencing_token } });
    (await one.proof("renew", "disk", fencing_token)).problem(409, "stale_fencing_token");
    (await one.proof("release", "disk", fencing_token)).problem(409, "stale_fencing_token");
    expect((await other.acquire("disk")).fencing_token).toBeGreaterThan(fencing_token);
  });

  it("when its holder unregisters", async () => {
    const { cluster, one, other } = await rivals();
    await one.acquire("disk");

    await one.unregister();

    expect((await other.acquire("disk")).holder).toBe("a2");
    expect((await cluster.status()).locked_resources).toBe(1);
  });

  it("when its holder fails, with an event, and the failure lists it", async () => {
    const { cluster, one, other } = await rivals();
    await using events = await cluster.events();
    await one.acquire("disk");
    await one.acquire("db%2Forders");
    await other.acquire("kept");

    await cluster.post("/agents/a1/failures", { failure_type: "reported" });

    const [failure] = (await cluster.failures()).items;
    expect(failure?.locks_released).toEqual(["db/orders", "disk"]);
    expect(await events.first(({ subject }) => subject === "disk", "the freeing")).toMatchObject({
      type: "lock.released",
      data: { holder: "a1" },
    });
    expect((await cluster.locks()).items.map(({ resource }) => resource)).toEqual(["kept"]);
  });

  it("when its holder falls silent, not before its timeout", async () => {
    const cluster = api.cluster();
    const silent = await cluster.register("a1", {
      heartbeat_interval_seconds: 0.2,
      heartbeat_timeout_seconds: 1,
    });
    await silent.acquire("disk");
    const { last_heartbeat_at } = await cluster.agent("a1");

    await freed(cluster, "disk");

    expect(Date.now() - Date.parse(last_heartbeat_at ?? "")).toBeGreaterThanOrEqual(1000);
    expect((await cluster.agent("a1")).status).toBe("inactive");
  });

  it("when an operator breaks it, with an event", async () => {
    const { cluster, one, other } = await rivals();
    await using events = await cluster.events();
    const { fencing_token } = await one.acquire("disk");

    const { lock } = (await cluster.request("DELETE", "/groups/default/locks/disk")).as(200, LockAnswer);

    expect(lock).toMatchObject({ resource: "disk", holder: null });
    expect(await events.first(({ type }) => type === "lock.broken", "the breaking")).toMatchObject({
      subject: "disk",
      data: { holder: "a1" },
    });
    (await one.proof("renew", "disk", fencing_token)).problem(409, "stale_fencing_token");
    (await one.proof("release", "disk", fencing_token)).problem(409, "stale_fencing_token");
    expect((await other.acquire("disk")).holder).toBe("a2");
    (await one.request("DELETE", "/groups/default/locks/disk")).problem(403, "forbidden");
  });
});

it("and the next grant has a greater fencing token, for any kind of end", async () => {
  const cluster = api.cluster();
  let agent = await cluster.register("a1");
  const tokens: number[] = [];
  const grant = async () => {
    const { fencing_token } = await agent.acquire("disk");
    tokens.push(fencing_token);
    return fencing_token;
  };

  await agent.proof("release", "disk", await grant());
  await grant();
  await cluster.request("DELETE", "/groups/default/locks/disk");
  await grant();
  agent = await cluster.register("a1");
  await grant();
  await cluster.post("/agents/a1/failures", { failure_type: "reported" });
  agent = await cluster.register("a1");
  await grant();

  expect(tokens).toEqual([...new Set(tokens)].toSorted((a, b) => a - b));
});

describe("the list of locks", () => {
  it("shows the held locks of a group, page by page, by name", async () => {
    const { cluster, one, other } = await rivals();
    for (const resource of ["e", "a%2Fb", "d", "c", "b"]) await one.acquire(resource);
    const { fencing_token } = await other.acquire("gone");
    await other.proof("release", "gone", fencing_token);

    const pages: string[][] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const page = await cluster.locks("default", { limit: 2, ...(cursor === "" ? {} : { cursor }) });
      pages.push(page.items.map(({ resource }) => resource));
      cursor = page.next_cursor;
    }

    expect(pages).toEqual([["a/b", "b"], ["c", "d"], ["e"]]);
    expect((await cluster.locks("elsewhere")).items).toEqual([]);
  });
});
