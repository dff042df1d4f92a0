import { describe, expect, it } from "vitest";
import type { ServerFrame } from "../../../../../src/contract/socket.ts";
import { errorFrame, FrameSender } from "../../../../../src/services/agent-group/sockets/frame-sender.ts";
import { FakeHost } from "../../../../support/fake-host.ts";

const MEBIBYTE = 1024 * 1024;
const ack = (request_id: string): ServerFrame => ({ type: "ack", request_id });
const drain: ServerFrame = { type: "drain", mode: null, deadline_at: null };

function sender() {
  const host = new FakeHost();
  const frames = new FrameSender(host.sockets);
  /** What was sent on a connection: the ids of answers, and the types of other frames. */
  const sent = (connection = 1) =>
    host.frames
      .filter((item) => item.connection === connection)
      .map(({ frame }) => (frame.type === "ack" ? frame.request_id : frame.type));
  return { host, frames, sent };
}

describe("answers", () => {
  it("leave in the order of their requests, though they are ready in another", () => {
    const { frames, sent } = sender();
    const [first, second, third] = [1, 2, 3].map(() => frames.reserveAnswer(1));
    third?.(ack("3"));
    expect(sent()).toEqual([]);
    first?.(ack("1"));
    expect(sent()).toEqual(["1"]);
    second?.(ack("2"));
    expect(sent()).toEqual(["1", "2", "3"]);
  });

  it("wait for none of another connection", () => {
    const { frames, sent } = sender();
    frames.reserveAnswer(1);
    frames.reserveAnswer(2)(ack("other"));
    expect(sent(2)).toEqual(["other"]);
  });

  it("are not overtaken by a later answer to an earlier request", () => {
    const { frames, sent } = sender();
    const answer = frames.reserveAnswer(1);
    frames.sendAfterAnswers(1, ack("granted"));
    expect(sent()).toEqual([]);
    answer(ack("1"));
    expect(sent()).toEqual(["1", "granted"]);
  });

  it("over a connection that has ended are dropped", () => {
    const { frames, sent } = sender();
    const answer = frames.reserveAnswer(1);
    frames.forget(1);
    answer(ack("1"));
    expect(sent()).toEqual([]);
  });
});

describe("a push", () => {
  it("does not wait for answers, and says where it ends", () => {
    const { frames, sent } = sender();
    frames.reserveAnswer(1);
    const { length } = JSON.stringify(drain);
    expect(frames.push(1, drain)).toEqual({ through: length, characters: length });
    expect(frames.push(1, drain)).toEqual({ through: 2 * length, characters: length });
    expect(sent()).toEqual(["drain", "drain"]);
  });
});

describe("what an agent has not shown to have read", () => {
  const long = errorFrame("1", { code: "internal", detail: "x".repeat(MEBIBYTE) });

  it("exceeds the limit beyond 16 Mi characters, until the agent shows that it reads", () => {
    const { frames } = sender();
    const pushed = Array.from({ length: 16 }, () => frames.push(1, long));
    expect(frames.exceedsUnreadLimit(1)).toBe(true);
    frames.markReadThrough(1, pushed[0]?.through ?? 0);
    expect(frames.exceedsUnreadLimit(1)).toBe(false);
  });

  it("includes answers, and does not grow by an earlier position", () => {
    const { frames } = sender();
    for (let index = 0; index < 17; index++) frames.reserveAnswer(1)(long);
    expect(frames.exceedsUnreadLimit(1)).toBe(true);
    frames.markReadThrough(1, 17 * MEBIBYTE);
    frames.markReadThrough(1, 5);
    expect(frames.exceedsUnreadLimit(1)).toBe(false);
  });
});

describe("the end of a connection", () => {
  it("by expiry sends session_expired and closes the socket", () => {
    const { frames, sent, host } = sender();
    frames.expire(1, { reason: "failed", supersededBy: null });
    expect(sent()).toEqual(["session_expired"]);
    expect(host.closed).toEqual([{ connection: 1, reason: "session_expired" }]);
  });

  it("lets the other parts drop what they keep of it", () => {
    const { frames } = sender();
    const dropped: number[] = [];
    frames.onForget((connection) => dropped.push(connection));
    frames.close(1, "replaced");
    frames.forget(2);
    expect(dropped).toEqual([1, 2]);
  });
});
