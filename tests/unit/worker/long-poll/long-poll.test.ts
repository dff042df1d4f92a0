import { describe, expect, it } from "vitest";
import { longPoll } from "../../../../worker/long-poll/long-poll.ts";

/** A socket from an object, as far as a waiter uses it. */
class FakeSocket extends EventTarget {
  isClosed = false;
  readonly #accepted: (socket: FakeSocket) => void;

  constructor(accepted: (socket: FakeSocket) => void) {
    super();
    this.#accepted = accepted;
  }

  accept(): void {
    this.#accepted(this);
  }

  close(): void {
    this.isClosed = true;
  }

  send(type: "message" | "close"): void {
    this.dispatchEvent(new Event(type));
  }
}

/** An object that accepts waiters; `accepted` runs when a waiter listens to its socket. */
function fakeObject(accepted: (socket: FakeSocket, count: number) => void = () => {}) {
  const sockets: FakeSocket[] = [];
  return {
    sockets,
    async fetch() {
      const webSocket = new FakeSocket((socket) => accepted(socket, sockets.length));
      sockets.push(webSocket);
      return { webSocket } as unknown as Response;
    },
  };
}

/** Reads the values in turn, and then the last one again and again. */
function reading(...values: number[]) {
  const read = async () => {
    read.count += 1;
    return values[Math.min(read.count, values.length) - 1] ?? 0;
  };
  read.count = 0;
  return read;
}

const isPositive = (value: number) => value > 0;
const HOUR_MS = 3_600_000;

function waitOf(
  object: ReturnType<typeof fakeObject>,
  caller = new AbortController().signal,
  limitMs = HOUR_MS,
) {
  return { object: () => object, topic: "topic", limitMs, caller };
}

describe("a long poll", () => {
  it("answers at once if the first value is worth answering, without a socket", async () => {
    const object = fakeObject();
    expect(await longPoll(reading(1), isPositive, waitOf(object))).toBe(1);
    expect(object.sockets).toEqual([]);
  });

  it("reads again after it has its socket, so that a change in between is not missed", async () => {
    const object = fakeObject();
    expect(await longPoll(reading(0, 2), isPositive, waitOf(object))).toBe(2);
    expect(object.sockets.map(({ isClosed }) => isClosed)).toEqual([true]);
  });

  it("reads again at each wake-up until the value is worth answering", async () => {
    const object = fakeObject((socket) => socket.send("message"));
    const read = reading(0, 0, 3);
    expect(await longPoll(read, isPositive, waitOf(object))).toBe(3);
    expect(read.count).toBe(3);
  });

  it("opens another socket when the object was replaced", async () => {
    const object = fakeObject((socket, count) => socket.send(count === 1 ? "close" : "message"));
    expect(await longPoll(reading(0, 0, 0, 4), isPositive, waitOf(object))).toBe(4);
    expect(object.sockets).toHaveLength(2);
  });

  it("answers with the last value when its time is over", async () => {
    const object = fakeObject();
    expect(await longPoll(reading(0), isPositive, waitOf(object, undefined, 20))).toBe(0);
  });

  it("ends when the caller is gone, and closes its socket", async () => {
    const controller = new AbortController();
    const object = fakeObject(() => controller.abort());
    expect(await longPoll(reading(0), isPositive, waitOf(object, controller.signal))).toBe(0);
    expect(object.sockets.map(({ isClosed }) => isClosed)).toEqual([true]);
  });
});
