import { describe, expect, it } from "vitest";
import { appWith } from "../worker-app.ts";

const KB = 1024;
const JSON_TYPE = "application/json";

/** Answers with the body as a handler finds it. */
const app = appWith([
  (routes) => {
    for (const path of ["/v1/clusters/c/tasks", "/v1/clusters/c/tasks/batch"]) {
      routes.all(path, (c) => c.json({ body: c.get("body") ?? "none" }));
    }
  },
]);

async function send(
  body: BodyInit | null,
  {
    method = "POST",
    path = "/tasks",
    ...headers
  }: { method?: string; path?: string; [header: string]: string | undefined } = {},
) {
  const given = Object.fromEntries(Object.entries({ "Content-Type": JSON_TYPE, ...headers }));
  const init = { method, headers: given as Record<string, string>, body, duplex: "half" };
  const response = await app.request(`/v1/clusters/c${path}`, init);
  const answer = (await response.json()) as { body?: unknown; code?: string; detail?: string };
  return { status: response.status, ...answer };
}

/** A body whose size no header tells. */
const streamed = (text: string) => new Blob([text]).stream();

it("the body is parsed for the handler", async () => {
  expect((await send('{"a":[1]}')).body).toEqual({ a: [1] });
  expect((await send(streamed('{"a":[1]}'))).body).toEqual({ a: [1] });
});

it("an empty body counts as none for any content type", async () => {
  expect((await send("")).body).toBe("none");
  expect((await send("", { "Content-Type": "text/plain" })).body).toBe("none");
  expect((await send(null)).body).toBe("none");
});

describe("a body that is not JSON", () => {
  it.each([
    ["is cut off", '{"a":', "the body is not valid JSON"],
    ["is not UTF-8", new Uint8Array([0x22, 0xff, 0x22]), "the body is not valid UTF-8"],
    [
      "is nested too deeply",
      `${"[".repeat(65)}${"]".repeat(65)}`,
      "the body is nested more than 64 levels deep",
    ],
  ])("is refused when it %s", async (_, body, detail) => {
    expect(await send(body)).toMatchObject({ status: 400, code: "invalid_request", detail });
  });
});

describe("the type of a body", () => {
  it.each(["application/json; charset=utf-8", "APPLICATION/JSON"])("may be %s", async (type) => {
    expect((await send("{}", { "Content-Type": type })).status).toBe(200);
  });

  it.each(["text/plain", "application/x-www-form-urlencoded", "application/jsonp"])(
    "may not be %s",
    async (type) => {
      expect(await send("{}", { "Content-Type": type })).toMatchObject({ status: 415 });
    },
  );

  it("may be a merge patch in a PATCH only", async () => {
    const type = { "Content-Type": "application/merge-patch+json" };
    expect((await send("{}", { ...type, method: "PATCH" })).status).toBe(200);
    expect((await send("{}", { ...type, method: "PUT" })).status).toBe(415);
  });

  it("may not be compressed", async () => {
    expect(await send("{}", { "Content-Encoding": "gzip" })).toMatchObject({
      status: 415,
      detail: expect.stringContaining("without Content-Encoding"),
    });
  });
});

describe("the size of a body", () => {
  const jsonOf = (bytes: number) => `"${"x".repeat(bytes - 2)}"`;

  it.each([
    ["with a header that tells its size", (text: string): BodyInit => text],
    ["without such a header", streamed],
  ])("is at most 256 KB, %s", async (_, sent) => {
    expect((await send(sent(jsonOf(256 * KB)))).status).toBe(200);
    expect(await send(sent(jsonOf(256 * KB + 1)))).toMatchObject({
      status: 413,
      detail: expect.stringContaining("256 KB"),
    });
  });

  it("is at most 8 MB on a batch route", async () => {
    const path = "/tasks/batch";
    expect((await send(jsonOf(8192 * KB), { path })).status).toBe(200);
    expect(await send(jsonOf(8192 * KB + 1), { path })).toMatchObject({
      status: 413,
      detail: expect.stringContaining("8192 KB"),
    });
  });
});

describe("a body that does not arrive", () => {
  it("is refused once its time is over", async () => {
    const slow = appWith([(routes) => routes.all("/v1/clusters/c/tasks", (c) => c.json({}))], {
      timeLimitMs: 10,
    });
    for (const method of ["POST", "DELETE"]) {
      const body = new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array([0x7b])) });
      const response = await slow.request("/v1/clusters/c/tasks", {
        method,
        body,
        duplex: "half",
      } as RequestInit);
      expect(response.status).toBe(408);
      expect(await response.json()).toMatchObject({
        code: "request_timeout",
        detail: "the body did not arrive within 0.01 s; send the whole body at once",
      });
    }
  });

  it("is refused when it breaks off", async () => {
    const broken = new ReadableStream({ start: (controller) => controller.error(new Error("cut off")) });
    expect(await send(broken)).toMatchObject({ status: 400, code: "invalid_request" });
  });
});
