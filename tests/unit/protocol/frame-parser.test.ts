import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BATCH_FRAME_LIMIT_CHARACTERS, FRAME_LIMIT_CHARACTERS } from "../../../src/contract/socket.ts";
import { type ParsedFrame, parseFrames } from "../../../src/protocol/frame-parser.ts";

const start = (request_id: string) => ({ type: "task_start", request_id, task_id: "t", attempt: 1 });
const parse = (value: unknown) => parseFrames(JSON.stringify(value));

/** The id of the request and the code, or the type of a frame that is valid. */
const summaryOf = (parsed: ParsedFrame) =>
  parsed.ok
    ? `${parsed.frame.request_id} ${parsed.frame.type}`
    : `${parsed.requestId} ${parsed.problem.code}`;

describe("a frame", () => {
  it("is parsed with its length", () => {
    const text = JSON.stringify(start("1"));
    expect(parseFrames(text)).toEqual([{ ok: true, frame: start("1"), characters: text.length }]);
  });

  it.each([
    ["binary data", new ArrayBuffer(4), "null invalid_request"],
    ["no JSON", "{", "null invalid_request"],
    ["JSON that is no object", "[1]", "null invalid_request"],
    ["a type that does not exist", JSON.stringify({ ...start("1"), type: "sing" }), "1 invalid_request"],
    ["an unknown field", JSON.stringify({ ...start("1"), mood: "good" }), "1 invalid_request"],
    ["a missing field", JSON.stringify({ type: "task_start", request_id: "1" }), "1 invalid_request"],
    ["a request_id that is too long", JSON.stringify(start("x".repeat(65))), "null invalid_request"],
  ])("of %s is refused under its request_id, if it has one", (_, data, summary) => {
    expect(parseFrames(data).map(summaryOf)).toEqual([summary]);
  });

  it("of an unknown type is refused with the list of types", () => {
    const [parsed] = parse({ type: "sing", request_id: "1" });
    expect(parsed).toMatchObject({
      problem: {
        errors: [{ path: "type", message: expect.stringMatching(/task_start.*heartbeat, batch$/) }],
      },
    });
  });

  it("that is too long is refused with the limit", () => {
    const long = { ...start("1"), type: "task_complete", result: "x".repeat(FRAME_LIMIT_CHARACTERS) };
    expect(parse(long)).toMatchObject([
      {
        ok: false,
        requestId: "1",
        problem: { code: "payload_too_large", evidence: { limit: FRAME_LIMIT_CHARACTERS } },
      },
    ]);
  });

  it("is parsed without an exception, for any text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(parseFrames(text).length).toBeGreaterThan(0);
      }),
    );
  });
});

describe("a batch", () => {
  it("is its frames in order, each checked on its own", () => {
    const frames = [start("1"), { ...start("2"), attempt: 0 }, "no frame", start("4")];
    expect(parse({ type: "batch", frames }).map(summaryOf)).toEqual([
      "1 task_start",
      "2 invalid_request",
      "null invalid_request",
      "4 task_start",
    ]);
  });

  it("counts about as many characters as it has", () => {
    const text = JSON.stringify({ type: "batch", frames: Array.from({ length: 10 }, () => start("1")) });
    const characters = parseFrames(text).reduce((sum, one) => sum + (one.ok ? one.characters : 0), 0);
    expect(characters).toBeGreaterThanOrEqual(text.length);
    expect(characters).toBeLessThan(text.length + 10);
  });

  it("may be longer than a frame, and none of its frames may", () => {
    const result = "x".repeat(FRAME_LIMIT_CHARACTERS / 2);
    const half = (request_id: string) => ({ ...start(request_id), type: "task_complete", result });
    const whole = { ...half("3"), result: result + result };
    expect(parse({ type: "batch", frames: [half("1"), half("2"), whole] }).map(summaryOf)).toEqual([
      "1 task_complete",
      "2 task_complete",
      "3 payload_too_large",
    ]);
  });

  it.each([
    ["without frames", { type: "batch", frames: [] }, "invalid_request"],
    ["of 1001 frames", { type: "batch", frames: Array(1001).fill(start("1")) }, "invalid_request"],
    [
      "that is too long",
      { type: "batch", frames: ["x".repeat(BATCH_FRAME_LIMIT_CHARACTERS)] },
      "payload_too_large",
    ],
    ["in a batch", { type: "batch", frames: [{ type: "batch", frames: [] }] }, "invalid_request"],
  ])("%s is refused", (_, batch, code) => {
    expect(parse(batch).map(summaryOf)).toEqual([`null ${code}`]);
  });
});
