/** The command: its exit codes, and what it says when a call fails. */
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Agent, DistributedCoordinator } from "../../client/src/index.ts";
import { cliOfThisFile, urlOfNobody } from "../support/cli.ts";
import { temporaryFolder } from "../support/groups.ts";
import { until } from "../support/until.ts";

const cli = cliOfThisFile();
const command = cli.run;

/** A server that answers every call with 200 and this body, and is not a coordinator. */
async function impostor(type: string, body: string): Promise<{ url: string } & Disposable> {
  const http = createServer((_, response) => {
    response.writeHead(200, { "Content-Type": type }).end(body);
  });
  await once(http.listen(0, "127.0.0.1"), "listening");
  const { port } = http.address() as AddressInfo;
  const end = () => {
    http.close();
    http.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${port}`, [Symbol.dispose]: end };
}

describe("the command", () => {
  it("exits with a code for the outcome of the task that it waited for", async () => {
    const wait = (type: string, ...more: string[]) => command("submit", type, "--wait", "10", ...more);
    const worker = new Agent({ ...cli.access, id: "judge", handleSignals: false });
    worker.on("goes_well", () => "well");
    worker.on("goes_wrong", () => {
      throw Object.assign(new Error("no luck"), { retryable: false });
    });
    await worker.start();
    expect(await wait("goes_well")).toMatchObject({ code: 0, stdout: expect.stringContaining('"well"') });
    expect(await wait("goes_wrong")).toMatchObject({
      code: 5,
      stdout: expect.stringContaining("no luck"),
      stderr: expect.stringMatching(/^task \S+ failed\n$/),
    });
    expect(await wait("nobody_can", "--wait", "0.2", "--json")).toMatchObject({
      code: 6,
      stdout: expect.stringContaining('"status":"pending"'),
      stderr: expect.stringMatching(/^task \S+ has not ended within 0.2 s\n$/),
    });
    await worker.stop();
  });

  it("reports an unreachable server while watching, and continues", async () => {
    const url = await urlOfNobody();
    const watching = cli.watch("--url", url);
    let said = "";
    watching.stderr.on("data", (chunk: string) => {
      said += chunk;
    });
    await until(async () => said !== "", "a word");
    expect(said).toMatch(/ECONNREFUSED.*; retrying until the server responds\n$/);
    expect(watching.exitCode()).toBeNull();
    watching.interrupt();
  });

  it("waits for the end of a task, and exits with a code for its outcome", async () => {
    const { token } = await new DistributedCoordinator(cli.access).registerAgent("baker", "worker", ["bake"]);
    const holder = { agent_id: "baker", attempt: 1 };
    for (const id of ["w1", "w2", "w3", "w4"]) await command("submit", "bake", "--id", id);
    await cli.report(token, "w1/complete", { ...holder, result: { loaves: 2 } });
    await cli.report(token, "w2/fail", { ...holder, error: { message: "burnt", retryable: false } });
    await command("cancel", "w3");
    await cli.report(token, "w4/start", holder);
    const waited = (type: string, id: string, ...words: string[]) =>
      command("submit", type, "--id", id, "--wait", "0.1", ...words);

    expect(await waited("bake", "w1")).toEqual({
      code: 0,
      stdout: 'w1 completed baker\n{"loaves":2}\n',
      stderr: "",
    });
    expect(await waited("bake", "w2")).toMatchObject({
      code: 5,
      stdout: 'w2 failed baker\n{"message":"burnt","retryable":false}\n',
    });
    expect(await waited("bake", "w3")).toMatchObject({ code: 5, stdout: "w3 cancelled baker\n" });
    expect(await waited("bake", "w4")).toEqual({
      code: 6,
      stdout: "w4 running baker\n",
      stderr: "task w4 has not ended within 0.1 s\n",
    });
    const waiting = await waited("sing", "w5");
    expect(waiting).toMatchObject({
      code: 6,
      stdout: expect.stringMatching(/^w5 pending\nno live agent can do sing: .*\n$/),
    });
    for (const [id, code] of Object.entries({ w1: 0, w2: 5, w3: 5, w4: 6 })) {
      const { stdout, ...ended } = await waited("bake", id, "--json");
      expect([ended.code, JSON.parse(stdout)]).toEqual([code, expect.objectContaining({ id })]);
    }
    expect(await command("submit", "bake", "--id", "w6", "--wait", "long")).toMatchObject({ code: 2 });
    expect((await command("tasks", "--type", "bake")).stdout).not.toContain("w6");
  });

  it("exits with 2 after an argument that the coordinator calls invalid", async () => {
    for (const words of [
      ["tasks", "--status", "nope"],
      ["tasks", "--limit", "99999"],
      ["submit", "paint", "--priority", "99"],
      ["submit", "paint", "--id", "a b"],
      ["cancel", "a b"],
      ["config", "set", "failover_config.enabled=5"],
    ])
      expect(await command(...words), words.join(" ")).toMatchObject({
        code: 2,
        stdout: "",
        stderr: expect.stringMatching(/^invalid_request: .*\n$/),
      });
  });

  it("names the invalid argument, the allowed values, and what to do", async () => {
    const LIST = "Run failover-coordinator --help for the list.\n";
    const told = async (...words: string[]) => {
      const { code, stderr } = await command(...words);
      expect(code, stderr).toBe(2);
      return stderr;
    };
    expect(await told("drain", "a1", "--deadline", "-1")).toBe("--deadline must be 0 or greater\n");
    expect(await told("drain", "a1", "--deadline", "--json")).toBe("--deadline requires a value\n");
    expect(await told("submit", "paint", "--data")).toBe("--data requires a value\n");
    expect(await told("tasks", "--colour", "red")).toBe(
      "unknown option --colour\nUsage: failover-coordinator tasks [OPTIONS]\nHelp: failover-coordinator tasks --help\n",
    );
    expect(await told("stauts")).toBe(`unknown command "stauts"; did you mean "status"? ${LIST}`);
    expect(await told("task")).toBe(`unknown command "task"; did you mean "tasks"? ${LIST}`);
    expect(await told("foo")).toBe(`unknown command "foo". ${LIST}`);
    expect(await told("status", "--url", "localhost")).toContain("url must start with http:// or https://");
    expect((await command("submit", "paint", "--data", "-1", "--json")).stdout).toContain('"data":-1');
  });

  it("says of an empty cluster that it is empty", async () => {
    const empty = await command("status", "--cluster", "nope");
    expect(empty).toMatchObject({ code: 0, stderr: "" });
    expect(empty.stdout).toMatch(/^cluster nope is empty: no agents and no tasks\. Check --cluster/);
    expect((await command("status")).stdout).not.toContain("is empty");
    expect(JSON.parse((await command("status", "--cluster", "nope", "--json")).stdout)).toMatchObject({
      total_agents: 0,
    });
  });

  it("names where to set the token when it is missing or refused", async () => {
    for (const token of ["", "wrong"])
      expect(await command("status", "--token", token)).toMatchObject({
        code: 4,
        stderr: expect.stringMatching(
          /^warning: --token is deprecated.*\nunauthorized: .*; set FAILOVER_TOKEN or use --token-file\n$/,
        ),
      });
    expect(await command("watch", "--token", "wrong")).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(
        /^warning: .*\nunauthorized: .*; set FAILOVER_TOKEN or use --token-file\n$/,
      ),
    });
  });

  it("reads the token from a file, and warns once of one in an argument", async () => {
    const folder = temporaryFolder("failover-token-");
    const file = join(folder, "token");
    try {
      writeFileSync(file, `${cli.access.token}\n`);
      expect(await command("status", "--token-file", file)).toMatchObject({ code: 0, stderr: "" });
      const { code, stderr } = await command("status", "--token", cli.access.token);
      expect({ code, lines: stderr.match(/deprecated/g) }).toEqual({ code: 0, lines: ["deprecated"] });
      expect(stderr).not.toContain(cli.access.token);

      writeFileSync(file, '{"admin_token": "x"}\n');
      for (const words of [[file], [join(folder, "none")], [file, "--token", "x"]]) {
        expect((await command("status", "--token-file", ...words)).code).toBe(2);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("reports in one line that a server is not a coordinator", async () => {
    const calls = [
      ...[["status"], ["agents"], ["tasks"], ["locks"], ["failures"], ["notifications"], ["readiness"]],
      ...[
        ["config", "get"],
        ["config", "get", "a.b"],
        ["submit", "t"],
        ["submit", "t", "--wait", "1"],
      ],
      ...[
        ["explain", "t"],
        ["cancel", "t"],
        ["cancel", "t", "u"],
        ["drain", "a"],
        ["simulate", "a"],
      ],
      ...[
        ["late-results", "t"],
        ["accept", "t", "1"],
        ["status", "--json"],
        ["config", "get", "--json"],
      ],
      ["submit", "t", "--json"],
    ];
    for (const body of ["null", '"well"']) {
      using other = await impostor("application/json", body);
      const ended = await Promise.all(calls.map((words) => command(...words, "--url", other.url)));
      for (const [at, { code, stdout, stderr }] of ended.entries()) {
        const words = `${calls[at]?.join(" ")} of ${body}`;
        expect([code, stdout], `${words}: ${stderr}`).toEqual([1, ""]);
        expect(stderr, words).toMatch(
          /^(?:stopped at .*\n)?unexpected response: http:\S+ is not a failover coordinator \(.+\)\n$/,
        );
      }
    }
    using page = await impostor("text/html", "<html>hello</html>");
    for (const words of [["status"], ["config", "get"], ["agents"], ["submit", "paint"]]) {
      expect(await command(...words, "--url", page.url)).toMatchObject({
        code: 1,
        stdout: "",
        stderr: expect.stringMatching(
          /^.*unexpected response: this is not a failover coordinator: 200 text\/html\n$/,
        ),
      });
    }
  });

  it("shows a part of the configuration as valid JSON", async () => {
    const { stdout } = await command("config", "get", "heartbeat_config");
    expect(JSON.parse(stdout)).toMatchObject({ timeout_seconds: expect.any(Number) });
    expect(stdout).toContain('\n  "timeout_seconds": ');
  });

  it("exits with a code for each kind of outcome", async () => {
    expect((await command()).code).toBe(2);
    expect((await command("fly")).code).toBe(2);
    expect((await command("tasks", "--colour", "red")).code).toBe(2);
    expect((await command("explain")).code).toBe(2);
    expect((await command("submit", "paint", "--data", "{")).code).toBe(2);
    expect((await command("submit", "paint", "--priority", "high")).code).toBe(2);
    expect((await command("config", "get", "no.such.key")).code).toBe(2);
    expect(await command("explain", "no-such-task")).toMatchObject({
      code: 3,
      stdout: "",
      stderr: expect.stringContaining("not_found"),
    });
    expect((await command("tasks", "--status", "done")).code).toBe(2);
    expect((await command("submit", "paint", "--priority", "99")).code).toBe(2);
    expect(await command("status", "--token", "wrong")).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("FAILOVER_TOKEN"),
    });
    expect((await command("status", "--cluster", "no-such-cluster")).stdout).toContain(
      "cluster no-such-cluster is empty",
    );
    expect((await command("status", "--help")).code).toBe(0);
    expect((await command("--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it("reports an unreachable server", async () => {
    const { code, stderr } = await command("submit", "paint", "--url", await urlOfNobody(), "--id", "x");
    expect([code, stderr]).toEqual([1, expect.stringContaining("ECONNREFUSED")]);
  });
});
