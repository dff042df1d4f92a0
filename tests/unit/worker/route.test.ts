import { describe, expect, it } from "vitest";
import * as z from "zod";
import { route } from "../../../worker/route.ts";
import { answer, body, CLUSTER, optionalBody, params } from "../../../worker/route-schemas.ts";
import { appWith } from "./worker-app.ts";

const Limits = z.strictObject({ size: z.int().max(9), unit: z.string().default("m") });
const Given = z.object({ given: z.unknown() });
const responses = { 200: answer("What was given.", Given) };
const tags = ["test"];

const app = appWith([
  route(
    {
      operationId: "submitTask",
      method: "post",
      path: `${CLUSTER}/required`,
      tags,
      request: { params: params("cluster"), body: body(Limits) },
      responses,
    },
    async (c) => c.json({ given: c.req.valid("json") }, 200),
  ),
  route(
    {
      operationId: "drainAgent",
      method: "post",
      path: `${CLUSTER}/optional`,
      tags,
      request: { params: params("cluster"), body: optionalBody(Limits.partial({ size: true })) },
      responses,
    },
    async (c) => c.json({ given: c.req.valid("json") }, 200),
  ),
  route(
    {
      operationId: "cancelTask",
      method: "post",
      path: `${CLUSTER}/none`,
      tags,
      request: { params: params("cluster") },
      responses,
    },
    async (c) => c.json({ given: c.req.valid("param") }, 200),
  ),
  route(
    {
      operationId: "listTasks",
      method: "get",
      path: `${CLUSTER}/list`,
      tags,
      request: { params: params("cluster"), query: z.strictObject({ status: z.enum(["on"]).optional() }) },
      responses,
    },
    async (c) => c.json({ given: c.req.valid("query") }, 200),
  ),
]);

async function send(method: string, path: string, json?: unknown) {
  const sent =
    json === undefined ? {} : { body: JSON.stringify(json), headers: { "Content-Type": "application/json" } };
  const response = await app.request(`/v1/clusters/c${path}`, { method, ...sent });
  return { status: response.status, ...((await response.json()) as Record<string, unknown>) };
}

describe("a route with a body", () => {
  it("gives its handler the body with its defaults", async () => {
    expect(await send("POST", "/required", { size: 1 })).toEqual({
      status: 200,
      given: { size: 1, unit: "m" },
    });
  });

  it("refuses a request without one, and says that it is needed", async () => {
    expect(await send("POST", "/required")).toMatchObject({
      status: 400,
      code: "invalid_request",
      detail: "this route needs a body; send it as JSON",
    });
  });

  it.each([
    ["a value out of bounds", { size: 10 }, [{ path: "size", message: "must be at most 9" }]],
    [
      "an unknown field",
      { size: 1, unitt: "m" },
      [{ path: "unitt", message: expect.stringContaining('"unit"') }],
    ],
    ["null", null, [{ path: "", message: "must be an object" }]],
  ])("refuses %s and says what is allowed", async (_, json, errors) => {
    expect(await send("POST", "/required", json)).toMatchObject({
      status: 400,
      detail: "the body is not valid; see errors",
      errors,
    });
  });
});

it("a body that may be left out has its defaults then", async () => {
  expect(await send("POST", "/optional")).toEqual({ status: 200, given: { unit: "m" } });
  expect(await send("POST", "/optional", {})).toEqual({ status: 200, given: { unit: "m" } });
  expect((await send("POST", "/optional", null)).status).toBe(400);
});

it("a route without a body accepts none or an empty object, and no field", async () => {
  expect((await send("POST", "/none")).status).toBe(200);
  expect((await send("POST", "/none", {})).status).toBe(200);
  expect(await send("POST", "/none", { reason: "x" })).toMatchObject({
    status: 400,
    detail: "this route takes no body; send none",
  });
});

describe("a query", () => {
  it("with an unknown parameter is refused, and the nearest known one is named", async () => {
    expect(await send("GET", "/list?statuss=on")).toMatchObject({
      status: 400,
      detail: "the query is not valid; see errors",
      errors: [{ path: "statuss", message: expect.stringContaining('"status"') }],
    });
  });

  it("is refused where no parameter is declared", async () => {
    expect((await send("POST", "/none?dry_run=true")).status).toBe(400);
  });
});

it("an id in the path that is none is refused", async () => {
  const response = await app.request("/v1/clusters/.hidden/none", { method: "POST" });
  expect(await response.json()).toMatchObject({ status: 400, detail: "the path is not valid; see errors" });
});

describe("a request that no route serves", () => {
  it("is refused with 404 where no route has the path", async () => {
    expect(await send("GET", "/nowhere")).toMatchObject({ status: 404, code: "not_found" });
  });

  it("is refused with 405 and the allowed methods where another method has it", async () => {
    const response = await app.request("/v1/clusters/c/none", { method: "PUT" });
    expect(response.headers.get("Allow")).toBe("POST");
    expect(await response.json()).toMatchObject({ status: 405, code: "method_not_allowed" });
  });
});
