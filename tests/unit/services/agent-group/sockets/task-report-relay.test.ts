import { describe, expect, it } from "vitest";
import type { Outcome } from "../../../../../src/contract/problem.ts";
import type { TaskState } from "../../../../../src/contract/task.ts";
import type { TaskReport } from "../../../../../src/protocol/object-calls.ts";
import { TaskReportRelay } from "../../../../../src/services/agent-group/sockets/task-report-relay.ts";
import { FakeHost, settled } from "../../../../support/fake-host.ts";
import { agentPrincipal } from "../../../../support/principals.ts";

const refusal: Outcome<TaskState> = { ok: false, problem: { code: "not_found", detail: "no such task" } };

/** A relay to a coordinator that refuses every report, by default. */
class Relay {
  readonly host = new FakeHost();
  readonly calls: string[][] = [];
  readonly answers: string[] = [];
  report = async (reports: readonly TaskReport[]): Promise<Outcome<TaskState>[]> =>
    reports.map(() => refusal);
  readonly #relay: TaskReportRelay;

  constructor() {
    this.host.peers.report = (reports) => {
      this.calls.push(reports.map(({ frame }) => frame.request_id));
      return this.report(reports);
    };
    this.#relay = new TaskReportRelay(this.host, (_, frame) => {
      if (frame.type === "error") this.answers.push(`${frame.request_id} ${frame.code}`);
    });
  }

  send(ids: string[], characters = 100): void {
    for (const request_id of ids) {
      this.#relay.add({
        connection: { agentId: "a", incarnation: 1, number: 1 },
        principal: agentPrincipal("a", 1),
        frame: { type: "task_start", request_id, task_id: "t", attempt: 1 },
        characters,
        answer: () => {},
      });
    }
    this.#relay.send();
  }
}

describe("reports on tasks", () => {
  it("go to the coordinator in one call at a time, those that come meanwhile in the next", async () => {
    const relay = new Relay();
    relay.send(["1", "2"]);
    relay.send(["3"]);
    relay.send(["4"]);
    expect(relay.calls).toEqual([["1", "2"]]);
    await settled();
    expect(relay.calls).toEqual([
      ["1", "2"],
      ["3", "4"],
    ]);
    expect(relay.answers).toEqual(["1 not_found", "2 not_found", "3 not_found", "4 not_found"]);
  });

  it("are at most 1000 in a call, and about 8 Mi characters", async () => {
    const relay = new Relay();
    relay.send(Array.from({ length: 1500 }, (_, index) => String(index)));
    await settled();
    expect(relay.calls.map(({ length }) => length)).toEqual([1000, 500]);
    relay.calls.length = 0;
    relay.send(["1", "2", "3"], 4 * 1024 * 1024);
    await settled();
    expect(relay.calls).toEqual([["1", "2"], ["3"]]);
  });

  it("are answered unavailable when the coordinator cannot be reached, and the next go again", async () => {
    const relay = new Relay();
    const { report } = relay;
    relay.report = () => Promise.reject(new Error("no answer"));
    relay.send(["1"]);
    await settled();
    relay.report = report;
    relay.send(["2"]);
    await settled();
    expect(relay.answers).toEqual(["1 unavailable", "2 not_found"]);
    expect(relay.host.logged).toEqual(["reports_failed"]);
  });

  it("are answered unavailable after 10 s without an answer", async () => {
    const relay = new Relay();
    relay.report = () => new Promise(() => {});
    relay.send(["1"]);
    relay.host.pass(9999);
    await settled();
    expect(relay.answers).toEqual([]);
    relay.host.pass(1);
    await settled();
    expect(relay.answers).toEqual(["1 unavailable"]);
  });
});
