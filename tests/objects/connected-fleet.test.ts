/** The cost of a thousand sockets that ping: the platform answers each `ping`, and the object does nothing. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { ADMIN } from "../../src/domain/principal.ts";
import { AgentGroup } from "../../src/objects/agent-group.ts";
import { BaseObject } from "../../src/objects/base-object.ts";
import { Coordinator } from "../../src/objects/coordinator.ts";
import { connectUrl } from "../../src/objects/object-names.ts";
import { good, inside, newCluster, registration, submission } from "./objects.ts";

const FLEET = 1000;
/** A minute of pings, at one every 10 s. */
const BEATS_EACH = 6;
const TIMEOUT_MS = 30_000;

/** Counters of the object, read by this test. */
const UNCOUNTED = ["constructor", "rowsWritten"];

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a thousand connected agents", () => {
  it(`ping ${BEATS_EACH} times each without a call to their object or a row, and one alarm reads them all`, {
    timeout: 60_000,
  }, async () => {
    const north = newCluster().group("north");
    const ids = Array.from({ length: FLEET }, (_, index) => `agent-${index}`);
    await north.receive({
      stream: "test",
      messages: ids.map((agentId, index) => ({
        number: index + 1,
        message: {
          type: "register_session",
          agentId,
          incarnation: index + 1,
          intervalMs: 10_000,
          timeoutMs: TIMEOUT_MS,
        },
      })),
    });
    const sockets: WebSocket[] = [];
    for (const [index, id] of ids.entries()) {
      const { webSocket } = await north.fetch(connectUrl(id, index + 1), {
        headers: { Upgrade: "websocket" },
      });
      if (webSocket === null) throw new Error("not connected");
      webSocket.accept();
      sockets.push(webSocket);
    }
    const rowsWritten = () => inside(north, (instance) => instance.rowsWritten());
    const connectedRows = await rowsWritten();

    const calls = countCalls();
    const fromMs = Date.now();
    const pongs = sockets.map((socket) => answersOf(socket, BEATS_EACH));
    for (let beat = 0; beat < BEATS_EACH; beat++) for (const socket of sockets) socket.send("ping");
    await Promise.all(pongs);
    expect(calls.made()).toEqual([]);
    expect((await rowsWritten()) - connectedRows).toBe(0);

    // The alarm that connecting has set: it alone reads the times of the pings.
    const alarmRows = await inside(north, async (instance, { storage }) => {
      const before = instance.rowsWritten();
      const dueMs = (await storage.getAlarm()) ?? 0;
      expect(dueMs).toBeGreaterThan(fromMs);
      vi.useFakeTimers({ toFake: ["Date"], now: dueMs });
      await storage.deleteAlarm();
      instance.alarm({ scheduledTime: dueMs, isRetry: false, retryCount: 0 });
      expect(await storage.getAlarm()).toBeGreaterThanOrEqual(fromMs + TIMEOUT_MS);
      return instance.rowsWritten() - before;
    });
    console.log(
      `${FLEET} sockets, ${FLEET * BEATS_EACH} pings: no call, no row; an alarm: ${alarmRows} rows for all`,
    );
    expect(alarmRows).toBeLessThanOrEqual(2);
    expect(calls.made()).toEqual(["alarm"]);
    const liveness = await north.liveness(ids);
    expect(liveness).toHaveLength(FLEET);
    for (const { last_heartbeat_at } of liveness) {
      expect(Date.parse(last_heartbeat_at)).toBeGreaterThanOrEqual(fromMs);
    }

    // Proof that calls from outside are counted, those of the platform too.
    const [socket] = sockets;
    if (socket === undefined) throw new Error("no socket");
    const answered = answersOf(socket, 1);
    socket.send(JSON.stringify({ type: "heartbeat", request_id: "1" }));
    await answered;
    expect(calls.made()).toEqual(["alarm", "liveness", "webSocketMessage"]);
    for (const socket of sockets) socket.close(1000);
  });
});

describe("agents that connect at once", () => {
  it("get their tasks after few calls to the coordinator", { timeout: 60_000 }, async () => {
    const count = 200;
    const { coordinator, group } = newCluster();
    const ids = Array.from({ length: count }, (_, index) => `agent-${index}`);
    const incarnations: number[] = [];
    for (const id of ids) {
      const capable = registration({ capabilities: [id] });
      incarnations.push(
        good(await coordinator.register({ group: "north", agentId: id }, capable, ADMIN)).agent.incarnation,
      );
    }
    await coordinator.submitBatch(ids.map((id) => submission({ id: `${id}-task`, type: id })));
    const calls = vi.spyOn(Coordinator.prototype, "unstartedTasks");

    const frames = await Promise.all(
      ids.map(async (id, index) => {
        const { webSocket } = await group("north").fetch(connectUrl(id, incarnations[index] ?? 0), {
          headers: { Upgrade: "websocket" },
        });
        if (webSocket === null) throw new Error("not connected");
        const first = new Promise<string>((resolve) => {
          webSocket.addEventListener("message", ({ data }) => resolve(String(data)), { once: true });
        });
        webSocket.accept();
        const frame = JSON.parse(await first) as { type: string; task?: { id: string } };
        webSocket.close(1000);
        return frame;
      }),
    );

    for (const [index, id] of ids.entries()) {
      expect(frames[index]).toMatchObject({ type: "task_assigned", task: { id: `${id}-task` } });
    }
    console.log(`${count} agents connected at once: ${calls.mock.calls.length} calls to the coordinator`);
    expect(calls.mock.calls.length).toBeLessThan(count / 4);
  });
});

/** Resolves when that many frames have arrived. */
function answersOf(socket: WebSocket, count: number): Promise<void> {
  return new Promise((resolve) => {
    let heard = 0;
    const hear = () => {
      heard += 1;
      if (heard < count) return;
      socket.removeEventListener("message", hear);
      resolve();
    };
    socket.addEventListener("message", hear);
  });
}

/** Counts calls of the object's methods from outside: by other objects, by the Worker, by the platform. */
function countCalls() {
  const spies = [AgentGroup, BaseObject].flatMap(({ prototype }) =>
    Object.getOwnPropertyNames(prototype)
      .filter((name) => !UNCOUNTED.includes(name))
      .map((name) => ({ name, spy: vi.spyOn(prototype as unknown as Record<string, () => void>, name) })),
  );
  return {
    made: () => spies.flatMap(({ name, spy }) => spy.mock.calls.map(() => name)).sort(),
  };
}
