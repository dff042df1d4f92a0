/** The command: tasks, from their submission to their end. */
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { DistributedCoordinator } from "../../client/src/index.ts";
import { cliOfThisFile, jsonLines, urlOfNobody } from "../support/cli.ts";

const cli = cliOfThisFile();
const command = cli.run;

describe("the command", () => {
  it("follows a task from submission to failover and result", async () => {
    expect(
      await command("submit", "paint", "--id", "p1", "--data", '{"colour":"red"}', "--priority", "8"),
    ).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("p1 pending"),
    });
    expect((await command("tasks", "--status", "pending")).stdout).toMatch(
      /^TASK +TYPE +STATUS.*\np1 +paint +pending +8 +- /,
    );
    expect((await command("explain", "p1")).stdout).toContain("submitted");
    expect((await command("status")).stdout).toContain("1 pending");
    const { stdout } = await command("tasks", "--json");
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ id: "p1", data: { colour: "red" } }));
    expect((await command("agents")).stdout).toBe("nothing found\n");
    expect((await command("locks")).stdout).toBe("nothing found\n");
    expect((await command("failures")).code).toBe(0);
    expect((await command("readiness")).stdout).toContain("free slots");
    expect((await command("config", "set", "failover_config.reliability_threshold=0.5")).stdout).toBe(
      "failover_config.reliability_threshold = 0.5\n",
    );
    expect((await command("config", "get", "failover_config.reliability_threshold")).stdout).toBe("0.5\n");
    expect((await command("notifications", "test")).stdout).toMatch(/^CHANNEL +DELIVERED/);
    expect((await command("notifications", "--json")).code).toBe(0);
  });

  it("drains and resumes an agent, and lists the tasks that only this agent can run", async () => {
    const coordinator = new DistributedCoordinator(cli.access);
    await coordinator.registerAgent("a1", "worker", ["plumb"]);
    expect((await command("submit", "plumb", "--id", "p2", "--label", "zone=a")).stdout).toContain(
      "p2 pending",
    );
    expect((await command("submit", "plumb", "--id", "p3")).stdout).toContain("p3 assigned a1\na1 takes p3");
    expect((await command("explain", "p3")).stdout).toMatch(/CANDIDATE +SCORE +\w+[\s\S]*a1 +\d\.\d{3} +\d/);
    expect(await command("simulate", "a1")).toMatchObject({
      code: 7,
      stdout: expect.stringContaining(
        "1 task affected: 0 reassigned, 0 failed, 1 without a live agent; 0 locks",
      ),
      stderr: "0 would be failed, 1 would be without a live agent\n",
    });
    expect(await command("readiness")).toMatchObject({
      code: 7,
      stdout: expect.stringContaining("only a1 has the capability plumb"),
    });
    expect((await command("drain", "a1", "--mode", "finish")).stdout).toBe("a1 draining\n");
    expect((await command("agents")).stdout).toMatch(/\na1 +draining /);
    expect((await command("resume", "a1")).stdout).toBe("a1 resumed\n");
    expect(await command("drain", "nobody")).toMatchObject({ code: 3, stdout: "" });
    expect(await command("drain", "a1", "--mode", "slowly")).toMatchObject({ code: 2, stdout: "" });
  });

  it("cancels tasks, and continues after a refused one", async () => {
    for (const id of ["c1", "c2", "c3"]) await command("submit", "cancelled", "--id", id);
    expect(await command("cancel", "c1")).toEqual({ code: 0, stdout: "c1 cancelled\n", stderr: "" });
    expect(await command("cancel", "c2", "no-such-task", "c3")).toEqual({
      code: 3,
      stdout: "c2 cancelled\nc3 cancelled\n",
      stderr: expect.stringMatching(/^no-such-task: not_found: .*\n1 of 3 tasks refused\n$/),
    });
    expect((await command("tasks", "--type", "cancelled", "--status", "pending")).stdout).toBe(
      "nothing found\n",
    );
    expect(await command("cancel", "no-such-task")).toEqual({
      code: 3,
      stdout: "",
      stderr: expect.stringMatching(/^not_found: .*\n$/),
    });
    const { code, stdout } = await command("cancel", "c1", "no such task", "--json");
    expect(code).toBe(3);
    expect(jsonLines(stdout)).toEqual([
      { id: "c1", task: expect.objectContaining({ id: "c1", status: "cancelled" }) },
      { id: "no such task", error: expect.objectContaining({ code: "invalid_request", status: 400 }) },
    ]);
    expect((await command("cancel")).code).toBe(2);
  });

  it("stops where the other tasks would be refused for the same reason", async () => {
    await command("submit", "stopped", "--id", "s1");
    const refused = await command("cancel", "s1", "s2", "s3", "--token", "wrong");
    expect(refused).toEqual({
      code: 4,
      stdout: "",
      stderr: expect.stringMatching(/^warning: .*\nstopped at s1; 2 more not tried\nunauthorized: .*\n$/),
    });
    const unanswered = await command("retry", "s1", "s2", "--url", await urlOfNobody());
    expect(unanswered).toMatchObject({ code: 1, stdout: "" });
    expect(unanswered.stderr).toMatch(/^stopped at s1; 1 more not tried\n.*ECONNREFUSED/);
    expect((await command("tasks", "--type", "stopped", "--json")).stdout).toContain('"status":"pending"');
  });

  it("retries failed tasks: those named, those of a type, or all", async () => {
    const coordinator = new DistributedCoordinator(cli.access);
    const { token } = await coordinator.registerAgent("clumsy", "worker", ["juggle", "climb"]);
    const error = { message: "fell", retryable: false };
    for (const [id, type] of Object.entries({ j1: "juggle", j2: "juggle", k1: "climb", k2: "climb" })) {
      await coordinator.tasks.submit({ id, type });
      expect(await cli.report(token, `${id}/fail`, { agent_id: "clumsy", attempt: 1, error })).toMatchObject({
        task: { status: "failed" },
      });
    }

    const named = await command("retry", "j1", "j1", "j2");
    expect(named).toMatchObject({ code: 3, stdout: "j1 assigned clumsy\nj2 assigned clumsy\n" });
    expect(named.stderr).toMatch(/^j1: invalid_transition: .* assigned\n1 of 3 tasks refused\n$/);
    await cli.report(token, "j1/fail", { agent_id: "clumsy", attempt: 2, error });
    await coordinator.agents.reportFailure("clumsy", { failure_type: "reported" });

    expect(await command("retry", "--all", "--type", "no-such-type")).toMatchObject({
      code: 0,
      stdout: "no failed tasks found\n",
    });
    const ofType = await command("retry", "--all", "--type", "climb", "--json");
    expect(ofType).toMatchObject({ code: 0, stderr: "" });
    expect(jsonLines(ofType.stdout)).toMatchObject([
      { id: "k2", task: { status: "pending", error: null } },
      { id: "k1", task: { status: "pending", error: null } },
    ]);
    expect((await command("retry", "--all")).stdout).toMatch(/^j1 pending no .*\n$/);
    expect(await command("retry", "--all", "--json")).toEqual({ code: 0, stdout: "", stderr: "" });

    expect(await command("retry")).toMatchObject({ code: 2, stderr: "name a TASK, or use --all\n" });
    expect((await command("retry", "j1", "--all")).code).toBe(2);
    expect((await command("retry", "j1", "--type", "juggle")).code).toBe(2);
  });

  it("shows late results and completes a task with one", async () => {
    const coordinator = new DistributedCoordinator(cli.access);
    const { token } = await coordinator.registerAgent("slow", "worker", ["carve"]);
    await coordinator.tasks.submit({ id: "l1", type: "carve" });
    expect(await command("late-results", "l1")).toEqual({
      code: 0,
      stdout: "nothing found\n",
      stderr: "",
    });
    await coordinator.registerAgent("quick", "worker", ["carve"]);
    await coordinator.agents.reportFailure("slow", { failure_type: "reported" });
    const result = { text: "x".repeat(100) };
    expect(await cli.report(token, "l1/complete", { agent_id: "slow", attempt: 1, result })).toMatchObject({
      code: "stale_attempt",
      late_result: "kept",
    });

    expect((await command("late-results", "l1")).stdout).toMatch(
      /^ATTEMPT +AGENT +RECEIVED +BYTES +RESULT\n1 +slow +[\d-]+ [\d:]+(?:Z|[+-]\d\d:\d\d) +111 +\{"text":"x{50}…\n$/,
    );
    const { stdout } = await command("late-results", "l1", "--json");
    expect(JSON.parse(stdout)).toEqual([
      { attempt: 1, agent_id: "slow", result, received_at: expect.any(String) },
    ]);
    expect(await command("accept", "l1", "2")).toMatchObject({
      code: 3,
      stdout: "",
      stderr: expect.stringContaining("not_found: no late result of this attempt is stored"),
    });
    expect((await command("accept", "l1", "0")).code).toBe(2);
    expect(await command("accept", "l1", "first")).toMatchObject({
      code: 2,
      stderr: "ATTEMPT must be a number\n",
    });
    expect((await command("accept", "l1")).code).toBe(2);
    const accepted = await command("accept", "l1", "1");
    expect(accepted).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^l1 completed slow\n\{"text":"x{50}…\n$/),
    });
    expect(JSON.parse((await command("accept", "l1", "1", "--json")).stdout)).toMatchObject({
      status: "completed",
      result,
    });
    expect((await command("late-results", "no-such-task")).code).toBe(3);
  });

  it("shows changes until it is interrupted", async () => {
    const watching = cli.watch("--after", "0", "--json");
    const [first] = (await once(watching.stdout, "data")) as [string];
    watching.interrupt();
    expect(JSON.parse(first.split("\n")[0] ?? "")).toMatchObject({
      type: expect.any(String),
      subject: expect.any(String),
    });
  });
});
