/** Names, addresses and numbers that callers choose: what they may contain, and what an error says about them. */
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { Registration } from "../../../src/contract/agent.ts";
import { decimal, Labels, Name, ResourceId, wholeNumber } from "../../../src/contract/common.ts";
import { Config } from "../../../src/contract/config.ts";
import { TaskSubmission } from "../../../src/contract/task.ts";
import { fieldErrors, schemaIssues } from "../../../src/validation/schema-issues.ts";

function errorsOf(schema: z.ZodType, value: unknown): string[] {
  const parsed = schema.safeParse(value);
  if (parsed.success) return [];
  return fieldErrors(schemaIssues(schema, parsed.error)).map(({ path, message }) => `${path}: ${message}`);
}

describe("a name", () => {
  it.each([
    ["a\nb", "control characters"],
    ["a\u0085b", "control characters"],
    ["a\u2028b", "line separators"],
    ["a\ud800b", "halves of a surrogate pair"],
    ["a\u202eb", "characters that change the direction of text"],
    ["a\u200eb", "characters that change the direction of text"],
    ["a\u200bb", "zero-width characters"],
    ["a\u200db", "zero-width characters"],
    ["\ufeffb", "zero-width characters"],
    ["a\u{e0041}b", "zero-width characters"],
    ["a\u0000\u200bb", "control characters or zero-width characters"],
  ])("%j is refused with the class of its characters", (name, found) => {
    expect(errorsOf(Name, name)).toEqual([`: must not contain ${found}`]);
    expect(errorsOf(ResourceId, name)).toEqual([`: must not contain ${found}`]);
  });

  it.each(["image.resize", "übersetzen", "翻译", "עברית", "emoji 🛠", "constructor", "__proto__"])(
    "%j is accepted",
    (name) => {
      expect(Name.parse(name)).toBe(name);
    },
  );
});

it("types, capabilities, and the keys and values of labels are such names", () => {
  const zeroWidth = "must not contain zero-width characters";
  const registration = { type: "\u200b", capabilities: ["a", "b\u200b"], labels: { zone: "eu\u200b" } };
  expect(errorsOf(Registration, registration)).toEqual([
    `type: ${zeroWidth}`,
    `capabilities[1]: ${zeroWidth}`,
    `labels.zone: ${zeroWidth}`,
  ]);
  expect(errorsOf(Labels, { "a\u200b": "x" })).toEqual([
    `["a\\u200b"]: the key is not allowed: ${zeroWidth}`,
  ]);
  expect(errorsOf(Labels, { empty: "", constructor: "x" })).toEqual([]);
  expect(errorsOf(TaskSubmission, { type: "a\u2066" })).toEqual([
    "type: must not contain characters that change the direction of text",
  ]);
});

describe("the endpoint of an agent", () => {
  const endpointErrors = (endpoint: string) =>
    errorsOf(Registration, { type: "t", capabilities: [], endpoint });

  it.each(["https://user:secret-1@agent.example.org", "http://secret-1@agent.example.org/x"])(
    "has no user name or password: %s is refused",
    (endpoint) => {
      const [error, ...more] = endpointErrors(endpoint);
      expect(error).toMatch(/^endpoint: must not contain a user name or password/);
      expect(error).not.toContain("secret-1");
      expect(more).toEqual([]);
    },
  );

  it("may have a port, a path and a query, and an @ behind the host", () => {
    expect(endpointErrors("http://agent.example.org:8080/a@b?c=d@e")).toEqual([]);
    expect(endpointErrors("no address")).toHaveLength(1);
  });
});

describe("a header of the webhook", () => {
  const errors = (name: string) => errorsOf(Config, { webhook_notification: { headers: { [name]: "x" } } });

  it.each([
    ...[
      "Connection",
      "transfer-encoding",
      "Keep-Alive",
      "UPGRADE",
      "te",
      "Trailer",
      "Host",
      "Content-Length",
    ],
    ...["Proxy-Authorization", "proxy-connection"],
  ])("is not %s, which belongs to the connection", (name) => {
    expect(errors(name)).toEqual([expect.stringContaining("this header belongs to the connection")]);
  });

  it.each(["X-Te", "Authorization", "Hostname", "Content-Type", "Upgrade-Insecure-Requests"])(
    "may be %s",
    (name) => {
      expect(errors(name)).toEqual([]);
    },
  );
});

describe("a number in a query", () => {
  it.each(["16", "0", "0.5", "19.999900000000002", "1e-7", "2.5e-05"])("may be %s", (text) => {
    expect(decimal(z.number()).parse(text)).toBe(Number(text));
  });

  it.each(["0x10", "", " 1", "1e3", "Infinity", "-1", "+1", "1_000", "١"])("is not %j", (text) => {
    const refusal = ": must be a decimal number such as";
    expect(errorsOf(decimal(z.number()), text)).toEqual([`${refusal} 0.5, and be given once`]);
    expect(errorsOf(wholeNumber(z.int()), text)).toEqual([`${refusal} 16, and be given once`]);
  });

  it("is whole where only a whole number has a meaning, and may be left out", () => {
    expect(wholeNumber(z.int().default(50)).parse(undefined)).toBe(50);
    expect(wholeNumber(z.int()).parse("16")).toBe(16);
    for (const text of ["0.5", "1e-7", "1.0"]) expect(errorsOf(wholeNumber(z.int()), text)).toHaveLength(1);
  });
});
