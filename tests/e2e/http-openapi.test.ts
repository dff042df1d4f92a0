/** The OpenAPI document: it is valid and complete, and every operation in it needs a token. */
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { apiOfThisFile } from "../support/checked-cluster.ts";

const api = apiOfThisFile();

const CLUSTER = "/v1/clusters/{cluster}";
const GROUP = `${CLUSTER}/groups/{group}`;

/** The routes that the contract promises. */
const PROMISED = [
  `PUT ${GROUP}/agents/{agent}`,
  `DELETE ${GROUP}/agents/{agent}`,
  `POST ${GROUP}/agents/{agent}/heartbeat`,
  `POST ${GROUP}/heartbeats`,
  `POST ${GROUP}/agents/{agent}/drain`,
  `POST ${GROUP}/agents/{agent}/resume`,
  `GET ${GROUP}/agents/{agent}/connect`,
  `GET ${GROUP}/agents/{agent}/tasks`,
  `GET ${GROUP}/agents/{agent}/messages`,
  `POST ${GROUP}/agents/{agent}/messages/{message}/ack`,
  `POST ${CLUSTER}/agents/{agent}/messages`,
  `GET ${CLUSTER}/agents`,
  `GET ${CLUSTER}/agents/{agent}`,
  `POST ${CLUSTER}/agents/{agent}/failures`,
  `POST ${CLUSTER}/tasks`,
  `POST ${CLUSTER}/tasks/batch`,
  `GET ${CLUSTER}/tasks`,
  `GET ${CLUSTER}/tasks/{task}`,
  `GET ${CLUSTER}/tasks/{task}/decisions`,
  `POST ${CLUSTER}/tasks/{task}/start`,
  `POST ${CLUSTER}/tasks/{task}/progress`,
  `POST ${CLUSTER}/tasks/{task}/complete`,
  `POST ${CLUSTER}/tasks/{task}/fail`,
  `GET ${CLUSTER}/tasks/{task}/late-results`,
  `POST ${CLUSTER}/tasks/{task}/late-results/{attempt}/accept`,
  `POST ${CLUSTER}/tasks/{task}/cancel`,
  `POST ${CLUSTER}/tasks/{task}/retry`,
  `PUT ${CLUSTER}/tasks/{task}/backups`,
  `POST ${CLUSTER}/results`,
  `POST ${GROUP}/locks/{resource}/acquire`,
  `POST ${GROUP}/locks/{resource}/renew`,
  `POST ${GROUP}/locks/{resource}/release`,
  `GET ${GROUP}/locks`,
  `GET ${GROUP}/locks/{resource}`,
  `DELETE ${GROUP}/locks/{resource}`,
  `GET ${CLUSTER}/failures`,
  `GET ${CLUSTER}/failures/{failure}`,
  `GET ${CLUSTER}/events`,
  `GET ${CLUSTER}/notifications`,
  `GET ${CLUSTER}/status`,
  `GET ${CLUSTER}/config`,
  `PUT ${CLUSTER}/config`,
  `PATCH ${CLUSTER}/config`,
  "GET /healthz",
  "GET /openapi.json",
];

const METHODS = ["DELETE", "GET", "PATCH", "POST", "PUT"];

/** A path with an id in place of each of its parameters. */
const filled = (path: string) => path.replace(/\{[^}]+\}/g, "x1");

/** Every value under a key, at any depth. */
function everyValueOf(key: string, value: unknown): unknown[] {
  if (Array.isArray(value)) return value.flatMap((item) => everyValueOf(key, item));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => [
    ...(name === key ? [member] : []),
    ...everyValueOf(key, member),
  ]);
}

describe("the document", () => {
  it("is OpenAPI 3.1, and its references resolve", () => {
    const { document } = api.checker;

    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    const known = Object.keys(document.components.schemas).map((id) => `#/components/schemas/${id}`);
    const references = everyValueOf("$ref", document);
    expect(references.length).toBeGreaterThan(10);
    for (const reference of references) expect(known).toContain(reference);
    for (const id of Object.keys(document.components.schemas)) expect(id).toMatch(/^[A-Za-z0-9._-]+$/);
    expect(everyValueOf("nullable", document)).toEqual([]);
    expect(everyValueOf("$defs", document)).toEqual([]);
    for (const pattern of everyValueOf("pattern", document)) {
      if (typeof pattern === "string") expect(() => new RegExp(pattern, "u")).not.toThrow();
    }
  });

  it("describes each operation by an id of its own, a summary, its parameters and its errors", () => {
    const { operations } = api.checker;
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);

    for (const { operationId, path, method, summary, parameters, requestBody, responses } of operations) {
      expect(summary, operationId).not.toBe("");
      const inPath = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
      const declared = parameters.filter((parameter) => parameter.in === "path");
      expect(declared.map(({ name }) => name).sort(), operationId).toEqual(inPath.toSorted());
      for (const parameter of declared) expect(parameter.required, operationId).toBe(true);
      if (method === "GET") expect(requestBody, operationId).toBeUndefined();
      expect(
        Object.keys(responses).some((status) => status.startsWith("2") || status === "101"),
        operationId,
      ).toBe(true);
      if (!path.startsWith("/v1/")) continue;
      expect(Object.keys(responses.default?.content ?? {}), operationId).toEqual([
        "application/problem+json",
      ]);
    }
  });

  it("has every route that the contract promises", () => {
    const served = api.checker.operations.map(({ method, path }) => `${method} ${path}`);

    expect(served).toEqual(expect.arrayContaining(PROMISED));
  });

  it("describes every key of the configuration", () => {
    const Section = z.object({ properties: z.record(z.string(), z.looseObject({})) });
    const config = Section.parse(api.checker.component("Config"));

    for (const [name, section] of Object.entries(config.properties)) {
      expect(section.description, name).toEqual(expect.any(String));
      for (const [key, schema] of Object.entries(Section.parse(section).properties)) {
        expect(schema.description, `${name}.${key}`).toEqual(expect.any(String));
      }
    }
  });

  it("is served without a token, and is the same each time", async () => {
    const first = await api.request("GET", "/openapi.json", { token: null });
    const second = await api.request("GET", "/openapi.json", { token: null });

    expect(first.status).toBe(200);
    expect(second.text).toBe(first.text);
  });
});

describe("every documented operation", () => {
  it("exists: with a token it is not answered with 404 for an unknown route", async () => {
    for (const { method, path } of api.checker.operations) {
      if (path.endsWith("/events")) continue;
      const answer = await api.request(method, filled(path));
      expect(answer.status, `${method} ${path}`).not.toBe(405);
      expect(answer.text, `${method} ${path}`).not.toContain("no such route");
    }
  });

  it("under /v1 is refused without a token", async () => {
    const operations = api.checker.operations.filter(({ path }) => path.startsWith("/v1/"));
    expect(operations.length).toBeGreaterThan(30);

    for (const { method, path, security } of operations) {
      (await api.request(method, filled(path), { token: null })).problem(401, "unauthorized");
      expect(security, path).toEqual([{ bearer: [] }]);
    }
  });

  it("is allowed by its path's `Allow` header, with no others", async () => {
    const { operations } = api.checker;
    for (const { path } of operations) {
      const answer = await api.request("OPTIONS", filled(path));
      answer.problem(405, "method_not_allowed");
      const documented = METHODS.filter(
        (method) => api.checker.operation(method, filled(path)) !== undefined,
      );
      expect(answer.headers.get("Allow"), path).toBe(documented.join(", "));
    }
  });
});

describe("outside of /v1", () => {
  it("the health check answers without a token", async () => {
    const answer = await api.request("GET", "/healthz", { token: null });

    expect(answer.as(200, z.object({ status: z.literal("ok") }))).toEqual({ status: "ok" });
  });
});
