/** The texts about an incident: its summary and its facts. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { facts, sections } from "../../../src/notifications/incident-facts.ts";
import { counts, headline, overview, timing } from "../../../src/notifications/incident-summary.ts";
import { entryWith, incidentWith, largestIncident, resolvedIncident } from "../../support/notices.ts";

const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const anyText = fc.string({ unit: "binary", maxLength: 400 });

describe("the text of an incident", () => {
  it("summarizes what failed, what moved where, what is stranded and what to do", () => {
    const incident = incidentWith();
    expect(headline(incident)).toBe("Error: worker-7 failed");
    expect(timing(incident)).toBe("since 2026-01-31 09:05:00 UTC");
    expect(counts(incident)).toBe("worker-7 failed, 2 tasks moved, 1 task found no agent, 1 lock released");
    expect(overview(incident)).toEqual([timing(incident), counts(incident), "groups: eu (1)"]);
    expect(facts(incident)).toEqual({
      failed: [
        "worker-7 (group eu) stopped sending heartbeats at 2026-01-31 09:05:00 UTC; last sign of life 2026-01-31 09:04:30 UTC: no sign of life for 30 s",
      ],
      moved: ["worker-7 → worker-8: task-1", "worker-7 → worker-9: task-2"],
      stranded: ["1 task of worker-7 found no agent: task-3"],
      locks: "1 lock was released; its next waiter, if there is one, gets it",
      toDo: ["Start an agent that can take the tasks that found no agent", "Restart worker-7"],
      recovered: [],
    });
    expect(sections(incident).map(({ title }) => title)).toEqual([
      "What failed",
      "What moved",
      "Tasks without an agent",
      "Locks",
      "What to do",
    ]);
  });

  it("says which agents are back after how long, and asks for no action once it is resolved", () => {
    const incident = resolvedIncident();
    expect(headline(incident)).toBe("Resolved: worker-7 failed");
    expect(timing(incident)).toBe("from 2026-01-31 09:05:00 UTC to 2026-01-31 09:07:00 UTC, 2 minutes");
    expect(facts(incident)).toMatchObject({
      failed: [],
      toDo: [],
      recovered: ["worker-7 is back after 2 minutes"],
    });
  });

  it("differs for every end of a failure", () => {
    const at = "2026-01-31T09:05:10.000Z";
    const endings = [
      entryWith({ status: "recovered", recovered_at: at, ended_by: "unregistered" }),
      entryWith({ status: "recovered", recovered_at: at, ended_by: "task_ended", task_id: "task-1" }),
      entryWith({ status: "recovered", recovered_at: at, ended_by: "expired" }),
    ];
    expect(facts(incidentWith({ status: "resolved", resolved_at: at, entries: endings })).recovered).toEqual([
      "worker-7 was unregistered after 10 seconds",
      "Task task-1 of worker-7 ended after 10 seconds",
      "worker-7 gave no sign of life again and is no longer expected after 10 seconds",
    ]);
  });

  it("names tasks that failed by themselves, and agents that keep failing", () => {
    const entries = [
      entryWith({
        task_id: "task-1",
        failure_type: "task_timeout",
        stranded: [],
        moved: [],
        tasks_pending: 0,
      }),
      entryWith({ status: "flapping", failures: 4 }),
      entryWith({
        agent_id: null,
        group: null,
        failure_type: "disk full",
        message: "",
        last_sign_of_life_at: null,
      }),
    ];
    const { failed, toDo } = facts(incidentWith({ entries }));
    expect(failed[0]).toContain("Task task-1 of worker-7 (group eu) timed out at");
    expect(failed[1]).toContain(
      "stopped sending heartbeats, 4 times, last at 2026-01-31 09:05:00 UTC; it fails repeatedly",
    );
    expect(failed[2]).toBe("The cluster failed (disk full) at 2026-01-31 09:05:00 UTC");
    expect(toDo).toEqual([
      "Start an agent that can take the tasks that found no agent",
      "Read the error of task-1",
      "Drain worker-7 until the cause is found",
    ]);
  });

  it("counts what its entries do not list", () => {
    const incident = incidentWith({
      entries_omitted: 3,
      tasks_reassigned: 12,
      tasks_pending: 1,
      tasks_failed: 2,
    });
    const { failed, moved, stranded } = facts(incident);
    expect(failed).toContain("3 more are not listed here");
    expect(moved).toContain("10 tasks of other agents moved");
    expect(stranded).toEqual([
      "1 task of worker-7 found no agent: task-3",
      "2 tasks of other agents were given up",
    ]);
    const many = entryWith({ tasks_reassigned: 30, tasks_pending: 14 });
    expect(facts(incidentWith({ entries: [many] }))).toMatchObject({
      moved: [
        "worker-7 → worker-8: task-1",
        "worker-7 → worker-9: task-2",
        "28 more tasks of worker-7 moved",
      ],
      stranded: ["14 tasks of worker-7 found no agent: task-3 and 13 more"],
    });
  });

  it("uses its numbers where it has no summary", () => {
    expect(headline(incidentWith({ summary: "\u0000 \n" }))).toContain(
      "Error: worker-7 failed, 2 tasks moved",
    );
  });

  it("has only bounded and printable lines for any text of agents", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const incident = largestIncident(text);
        const lines = [
          headline(incident),
          ...overview(incident),
          ...sections(incident).flatMap(({ title, lines }) => [title, ...lines]),
        ];
        for (const line of lines) {
          expect(line.length).toBeLessThanOrEqual(1200);
          expect(line).not.toMatch(UNPRINTABLE);
        }
      }),
      { numRuns: 30 },
    );
  });
});
