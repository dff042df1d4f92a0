/** The settings of `npm start`: its secrets, its data folder, its port, and the errors that name a wrong one. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { reference } from "../support/configurations.ts";
import { groupEnd } from "../support/groups.ts";
import {
  copyProject,
  freshFolder,
  getJson,
  modeOf,
  probeOfThisFile,
  run,
  startProbe,
  writeConfiguration,
} from "../support/probe-commands.ts";
import { PROJECT_ROOT, TEST_ADMIN_TOKEN } from "../support/server.ts";

const LOCAL_SECRETS = { ADMIN_TOKEN: "", SIGNING_KEY: "" };

probeOfThisFile();

describe("local secrets", () => {
  it("are made on first use, readable by the owner only, shown by the name of their file, and used again", async () => {
    const dataDir = freshFolder();
    await using server = await startProbe({ dataDir, env: LOCAL_SECRETS });
    const variables = (await getJson(`${server.url}/variables`)) as Record<string, string>;
    for (const secret of [variables.ADMIN_TOKEN, variables.SIGNING_KEY]) {
      expect(secret).toMatch(/^[A-Za-z0-9._-]{43,}$/);
    }
    const path = join(dataDir, "secrets.json");
    expect(server.output()).toContain(`address: ${server.url}\n`);
    expect(server.output()).toContain(`admin token: "admin_token" in ${path}\n`);
    expect(modeOf(dataDir)).toBe(0o700);
    for (const name of ["secrets.json", "lock.json"]) expect(modeOf(join(dataDir, name))).toBe(0o600);

    await server.stop();
    await server.restart();
    expect(await getJson(`${server.url}/variables`)).toMatchObject({
      ADMIN_TOKEN: variables.ADMIN_TOKEN,
      SIGNING_KEY: variables.SIGNING_KEY,
    });
    for (const secret of [variables.ADMIN_TOKEN, variables.SIGNING_KEY]) {
      expect(server.output()).not.toContain(secret);
    }
  });

  it("are neither stored nor shown when they are given", async () => {
    await using server = await startProbe();
    expect(existsSync(join(server.dataDir, "secrets.json"))).toBe(false);
    expect(server.output()).toContain("admin token: the one in ADMIN_TOKEN\n");
    expect(server.output()).not.toContain("secrets.json");
    expect(server.output()).not.toContain(TEST_ADMIN_TOKEN);
  });

  it("that were damaged are an error that names the file", async () => {
    const dataDir = freshFolder();
    await using server = await startProbe({ dataDir, env: LOCAL_SECRETS });
    await server.stop();
    writeFileSync(join(dataDir, "secrets.json"), '{ "admin_token": 7 }');
    const { code, stderr } = await run({ DATA_DIR: dataDir, ...LOCAL_SECRETS });
    expect(code).toBe(2);
    expect(stderr).toContain(join(dataDir, "secrets.json"));
    expect(existsSync(join(dataDir, "lock.json"))).toBe(false);
  });
});

describe("a data folder", () => {
  it("in use is refused with the name of the process that uses it", async () => {
    await using server = await startProbe();
    const { code, stdout, stderr } = await run({ DATA_DIR: server.dataDir });
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toContain(
      `data folder ${server.dataDir} is in use by npm start (pid ${server.pid}) on port ${server.port}, started at 20`,
    );
    expect(stderr).toContain(`end it with kill ${server.pid}`);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  });

  it("in use by an orphan is refused with the orphan's pid, and free when the orphan has ended", async () => {
    await using server = await startProbe();
    const workerd = server.processes().find(({ pid }) => pid !== server.pid)?.pid ?? 0;
    process.kill(server.pid, "SIGKILL");
    await groupEnd(server.pid, 1);

    const refused = await run({ DATA_DIR: server.dataDir, PORT: String(server.port) });
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain(
      `data folder ${server.dataDir} is in use by workerd (pid ${workerd}) on port ${server.port}, left over from npm start`,
    );
    expect(refused.stderr).toContain(`end it with kill ${workerd}`);

    process.kill(workerd, "SIGTERM");
    await groupEnd(server.pid);
    await server.restart();
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  });

  it("whose lock names a pid that now belongs to another process is free", async () => {
    const dataDir = freshFolder();
    await using server = await startProbe({ dataDir });
    const lock = JSON.parse(readFileSync(join(dataDir, "lock.json"), "utf8"));
    await server.stop();
    const recycled = { name: "npm start", pid: process.pid, born: "at another time" };
    writeFileSync(join(dataDir, "lock.json"), JSON.stringify({ ...lock, processes: [recycled] }));
    await server.restart();
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  });

  it("is locked by one of many commands that start at once, also over a stale lock", async () => {
    const dataDir = freshFolder();
    await using before = await startProbe({ dataDir });
    await before.kill();
    expect(existsSync(join(dataDir, "lock.json"))).toBe(true);
    const starts = await Promise.allSettled([1, 2, 3, 4, 5].map(() => startProbe({ dataDir })));
    const started = starts.filter((start) => start.status === "fulfilled");
    for (const start of started) await start.value.kill();
    expect(started).toHaveLength(1);
    for (const start of starts) {
      if (start.status === "rejected") expect(String(start.reason)).toContain("ended with 3");
    }
  });
});

describe("a port", () => {
  it("in use is refused with the name of the process that listens", async () => {
    await using server = await startProbe();
    const { code, stderr } = await run({ PORT: String(server.port) });
    expect(code).toBe(3);
    expect(stderr).toContain(`port ${server.port} on 127.0.0.1 is in use`);
    if (process.platform === "linux") expect(stderr).toMatch(/by workerd \(pid \d+\); end it with kill \d+/);
  });

  it("in use by another program leaves no lock behind", async () => {
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    const port = (listener.address() as AddressInfo).port;
    const dataDir = freshFolder();
    const { code } = await run({ PORT: String(port), DATA_DIR: dataDir });
    listener.close();
    expect(code).toBe(3);
    expect(existsSync(join(dataDir, "lock.json"))).toBe(false);
  });
});

describe("the command line and the environment", () => {
  it("are explained by --help", async () => {
    const { code, stdout, stderr } = await run({}, ["--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const word of ["PORT", "HOST", "DATA_DIR", "ADMIN_TOKEN", "ALLOW_LOCAL_TARGETS", "Exit codes"]) {
      expect(stdout).toContain(word);
    }
  });

  it("refuse an unknown argument", async () => {
    const { code, stdout, stderr } = await run({}, ["--port", "80"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toBe(
      'npm start has no argument "--port"; use environment variables, see npm start -- --help\n',
    );
  });

  it.each([
    [{ PORT: "abc" }, /^PORT must be/],
    [{ ALLOW_LOCAL_TARGETS: "maybe" }, /^ALLOW_LOCAL_TARGETS must be/],
    [{ ADMIN_TOKEN: "fifteen-symbols" }, /^ADMIN_TOKEN has 15 characters, at least 16/],
    [{ ADMIN_TOKEN: "not a token at all" }, /^ADMIN_TOKEN may contain only/],
    [{ HOST: "192.0.2.1" }, /^HOST: 192\.0\.2\.1 is not an address of this machine/],
    [
      { NODE_EXTRA_CA_CERTS: join(PROJECT_ROOT, "package.json") },
      /NODE_EXTRA_CA_CERTS: .* contains no certificate/,
    ],
    [{ DATA_DIR: join(PROJECT_ROOT, "package.json", "data") }, /^DATA_DIR: .* cannot be used/],
    [{ BUNDLE_DIR: PROJECT_ROOT }, /^BUNDLE_DIR: .* contains no bundle/],
  ])("refuse %j with exit code 2 and one line", async (env, line) => {
    const { code, stdout, stderr } = await run(env);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(line);
    expect(
      stderr
        .trim()
        .split("\n")
        .filter((said) => !said.startsWith("Warning: Ignoring extra certs")),
    ).toHaveLength(1);
  });

  it("warn of a secret that the configuration names and the environment does not have", async () => {
    const root = copyProject();
    writeConfiguration(
      root,
      JSON.stringify({
        email_notification: { password: reference("SMTP_PASSWORD"), username: reference("SMTP_USER") },
      }),
    );
    // A certificate that does not exist ends the start after the configuration is read.
    const env = { SMTP_USER: "robot", NODE_EXTRA_CA_CERTS: join(root, "missing.pem") };
    const { code, stderr } = await run(env, [], root);
    expect(code).toBe(2);
    const warnings = stderr
      .split("\n")
      .filter((line) => line.startsWith("warning: ") && line.includes("names"));
    expect(warnings).toEqual([
      `warning: ${join(root, "configs", "distributed_config.json")}: email_notification.password: names the secret SMTP_PASSWORD, which is not set in the environment of the server`,
    ]);
  });

  it("refuse a configuration file with a mistake, naming the file and the key", async () => {
    const root = copyProject();
    writeConfiguration(root, '{ "lock_config": { "defualt_ttl_seconds": 7 } }');
    const { code, stderr } = await run({}, [], root);
    expect(code).toBe(2);
    expect(stderr).toContain(join(root, "configs", "distributed_config.json"));
    expect(stderr).toContain("lock_config.defualt_ttl_seconds");
  });
});
