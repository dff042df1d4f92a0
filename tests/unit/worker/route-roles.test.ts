import { describe, expect, it } from "vitest";
import { ADMIN } from "../../../src/domain/principal.ts";
import { allow, type OperationId } from "../../../worker/route-roles.ts";
import { agentPrincipal } from "../../support/principals.ts";

const AGENT = agentPrincipal("a", 1, { cluster: "c", group: "north" });
const ITSELF = { cluster: "c", group: "north", agent: "a" };

describe("an administrator", () => {
  it.each<OperationId>(["registerAgent", "submitTask", "getConfig"])("may use %s", (operation) => {
    expect(allow(ADMIN, operation, { cluster: "anywhere" }).ok).toBe(true);
  });

  it("may not open the socket of an agent", () => {
    expect(allow(ADMIN, "connectAgent", ITSELF)).toMatchObject({
      problem: { code: "forbidden", detail: expect.stringContaining("a token of the role agent") },
    });
  });
});

describe("an agent", () => {
  it("may use its operations under its own id, in its own cluster and group", () => {
    expect(allow(AGENT, "heartbeat", ITSELF).ok).toBe(true);
  });

  it.each([
    ["another agent", { ...ITSELF, agent: "b" }],
    ["another group", { ...ITSELF, group: "south" }],
    ["another cluster", { ...ITSELF, cluster: "d" }],
    ["no cluster", {}],
  ])("may not use them where the path names %s", (_, names) => {
    expect(allow(AGENT, "heartbeat", names)).toMatchObject({ problem: { code: "forbidden" } });
  });

  it("may send a message to another agent of its cluster, and of no other cluster", () => {
    expect(allow(AGENT, "sendMessage", { cluster: "c", agent: "b" }).ok).toBe(true);
    expect(allow(AGENT, "sendMessage", { cluster: "d", agent: "b" }).ok).toBe(false);
  });

  it("may not use an operation of operators", () => {
    expect(allow(AGENT, "submitTask", { cluster: "c" })).toMatchObject({
      problem: { code: "forbidden", detail: expect.stringContaining("a token of the role admin") },
    });
  });
});
