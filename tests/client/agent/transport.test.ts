/** An agent whose socket breaks, or cannot be opened. */
import { describe, expect, it, vi } from "vitest";
import { FakeSocket, pass, task } from "../fakes.ts";
import { acknowledge, connectedAgent, socketSuite } from "./socket-fixture.ts";

socketSuite();

describe("a socket that breaks", () => {
  it("HTTP replaces a broken socket at once, and another socket soon replaces HTTP", async () => {
    const { heard, beats } = await connectedAgent();
    FakeSocket.isOpen = false;
    FakeSocket.latest.break();
    await pass(0.05);
    expect(beats()).toBe(1);
    FakeSocket.isOpen = true;
    await pass(2);
    expect(heard).toEqual(["connected socket", "disconnected 1006", "connected http", "connected socket"]);
    const after = beats();
    await pass(30);
    expect(beats()).toBe(after);
  });

  it("a report without an answer is sent again over HTTP", async () => {
    const { running, heard, coordinator } = await connectedAgent();
    FakeSocket.latest.push({ type: "task_assigned", task: task("t1") });
    await pass(0.1);
    acknowledge("task_start");
    await pass(0.1);
    running[0]?.end("done");
    await pass(0.1);
    FakeSocket.isOpen = false;
    FakeSocket.latest.break();
    await pass(2);
    expect(coordinator.fake.made("POST", /complete$/).map(({ body }) => body)).toEqual([
      { agent_id: "a", attempt: 1, result: "done" },
    ]);
    expect(heard).toContain("reported");
  });

  it("a ping without an answer closes the socket while enough of the timeout is left for HTTP", async () => {
    const { heard, beats } = await connectedAgent();
    FakeSocket.latest.answersPings = false;
    FakeSocket.isOpen = false;
    await pass(9.9);
    await pass(20.2);
    expect(heard[1]).toBe("disconnected no answer to a ping");
    expect(beats()).toBeGreaterThan(0);
  });

  it("an agent whose sockets never open works over HTTP, and at last opens one per minute at most", async () => {
    FakeSocket.isOpen = false;
    const { running, coordinator } = await connectedAgent();
    coordinator.hold(task("t1"));
    await pass(2);
    expect(running).toHaveLength(1);
    await pass(600);
    const before = FakeSocket.opened.length;
    await pass(300);
    expect(FakeSocket.opened.length - before).toBeLessThanOrEqual(11);
  });

  it("running tasks continue when the socket breaks", async () => {
    const { running, coordinator } = await connectedAgent();
    FakeSocket.latest.push({ type: "task_assigned", task: task("t1") });
    await pass(0.1);
    acknowledge("task_start");
    await pass(0.1);
    coordinator.hold({ ...task("t1"), status: "running" });
    FakeSocket.isOpen = false;
    FakeSocket.latest.break();
    await pass(15);
    expect(running[0]?.signal.aborted).toBe(false);
  });

  it("a refused result emits an error and fails the task", async () => {
    const { running, heard } = await connectedAgent();
    FakeSocket.latest.push({ type: "task_assigned", task: task("t1") });
    await pass(0.1);
    acknowledge("task_start");
    await pass(0.1);
    running[0]?.end("bad");
    await pass(0.1);
    const request_id = FakeSocket.latest.requests("task_complete")[0]?.request_id;
    FakeSocket.latest.push({
      type: "error",
      request_id,
      code: "invalid_request",
      status: 400,
      title: "",
      detail: "",
    });
    await pass(0.1);
    expect(heard).toContain("error");
    expect(FakeSocket.latest.requests("task_fail")).toHaveLength(1);
  });
});

describe("a platform without sockets", () => {
  it("the agent works over HTTP", async () => {
    vi.stubGlobal("WebSocket", undefined);
    const { beats, heard } = await connectedAgent();
    expect(beats()).toBe(1);
    expect(heard).toEqual(["connected http"]);
  });
});
