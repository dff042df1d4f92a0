/** `npm start` and `npm run dev` as processes: their output, their data, their errors, and a clean end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { makeCertificates } from "../support/certificates.ts";
import { groupEnd } from "../support/groups.ts";
import { writeProbeBundle } from "../support/probe-bundle.ts";
import { ProcessGroup } from "../support/process-group.ts";
import {
  commandEnvironment,
  PROJECT_ROOT,
  type ServerOptions,
  startServer,
  TEST_ADMIN_TOKEN,
} from "../support/server.ts";

// Bundling, the start of wrangler dev and the limit for a request that hangs, on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

let folder = "";
let probe = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "failover-commands-"));
  probe = writeProbeBundle(join(folder, "probe"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let folders = 0;
const freshFolder = () => join(folder, `folder-${++folders}`);

/** A server whose Worker is the probe. */
const startProbe = (options: ServerOptions = {}) =>
  startServer({ ...options, env: { BUNDLE_DIR: probe, ...options.env } });

const LOCAL_SECRETS = { ADMIN_TOKEN: "", SIGNING_KEY: "" };

type Ended = { code: number | null; stdout: string; stderr: string };

/** A command that is expected to end without a signal. */
function run(
  env: Record<string, string>,
  words: readonly string[] = [],
  root = PROJECT_ROOT,
): Promise<Ended> {
  const child = spawn(process.execPath, [join(root, "scripts", "start.ts"), ...words], {
    env: commandEnvironment({ BUNDLE_DIR: probe, DATA_DIR: freshFolder(), PORT: "0", ...env }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended: Ended = { code: null, stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    ended.stdout += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    ended.stderr += chunk;
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ ...ended, code })));
}

/** The run commands in a project of their own, whose files a test may change. */
function copyProject(): string {
  const root = freshFolder();
  for (const part of ["scripts", "src", "configs", "package.json", "wrangler.toml"]) {
    cpSync(join(PROJECT_ROOT, part), join(root, part), { recursive: true });
  }
  symlinkSync(join(PROJECT_ROOT, "node_modules"), join(root, "node_modules"));
  return root;
}

const getJson = async (url: string): Promise<unknown> => (await fetch(url)).json();
const getText = async (url: string): Promise<string> => (await fetch(url)).text();
const modeOf = (path: string) => statSync(path).mode & 0o777;

describe("npm start", () => {
  it("builds the Worker, prints `ready` once it answers, and exits with 0 on SIGTERM", async () => {
    await using server = await startServer({ env: { BUNDLE_DIR: "" } });
    expect(server.output()).toContain(`ready http://127.0.0.1:${server.port}\n`);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect(await server.stop()).toBe(0);
    expect(server.processes()).toEqual([]);
    expect(existsSync(join(server.dataDir, "lock.json"))).toBe(false);
  });

  it("ends with 0 on a signal to its whole group, as a terminal sends it", async () => {
    const env = commandEnvironment({ BUNDLE_DIR: probe, DATA_DIR: freshFolder(), PORT: "0" });
    await using server = new ProcessGroup(process.execPath, ["scripts/start.ts"], { env });
    await server.said(/^ready /m);
    server.signalAll("SIGINT");
    expect(await server.gone()).toBe(0);
    expect(server.output()).not.toContain("ended by itself");
  });

  it("ends when the npm that runs it gets SIGTERM", async () => {
    const dataDir = freshFolder();
    const env = commandEnvironment({ BUNDLE_DIR: probe, DATA_DIR: dataDir, PORT: "0" });
    await using npm = new ProcessGroup("npm", ["start"], { env });
    await npm.said(/^ready /m);
    expect(existsSync(join(dataDir, "lock.json"))).toBe(true);
    npm.signal("SIGTERM");
    await npm.gone();
    expect(existsSync(join(dataDir, "lock.json"))).toBe(false);
  });

  it("ends within its limit although a request is never answered", async () => {
    await using server = await startProbe();
    const hanging = fetch(`${server.url}/hang`).catch(() => "cut off");
    await getText(`${server.url}/healthz`);
    expect(await server.stop()).toBe(0);
    expect(await hanging).toBe("cut off");
  });

  it("keeps its children in its process group, so that kill -9 of the group ends all", async () => {
    await using server = await startProbe();
    expect(server.processes()).toHaveLength(2);
    await server.kill();
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow();
  });

  it("has its state again after kill -9, and a new boot id", async () => {
    await using server = await startProbe();
    const before = (await getJson(`${server.url}/variables`)) as Record<string, unknown>;
    expect(await getJson(`${server.url}/count`)).toEqual([1, 1, 1]);
    await server.kill();
    await server.restart();
    expect(await getJson(`${server.url}/count`)).toEqual([2, 2, 2]);
    const after = (await getJson(`${server.url}/variables`)) as Record<string, unknown>;
    expect(after.BOOT_ID).not.toBe(before.BOOT_ID);
  });

  it("answers nothing between pause and resume", async () => {
    await using server = await startProbe();
    await server.pause();
    expect(server.processes().map(({ stopped }) => stopped)).toEqual([true, true]);
    const answer = fetch(`${server.url}/healthz`);
    server.resume();
    expect((await answer).status).toBe(200);
  });

  it("prints the logs of the Worker", async () => {
    await using server = await startProbe();
    await getText(`${server.url}/log`);
    await server.stop();
    expect(server.output()).toContain('{"event":"asked_to_log"}\n');
  });

  it("exits with 1 and the last output of workerd when workerd ends", async () => {
    const broken = writeProbeBundle(freshFolder(), "throw new Error('broken on purpose');");
    const { code, stderr } = await run({ BUNDLE_DIR: broken });
    expect(code).toBe(1);
    expect(stderr).toContain("broken on purpose");
    expect(stderr).toMatch(/workerd ended by itself, with exit code 1/);
  });

  it("listens on IPv6", async () => {
    await using server = await startProbe({ env: { HOST: "::1" } });
    expect(server.url).toBe(`http://[::1]:${server.port}`);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  });

  it("gives the Worker its own secrets and the named ones, and no other variables", async () => {
    const root = copyProject();
    writeFileSync(join(root, ".dev.vars"), "FROM_FILE='a \"b\" $c'\nBOTH=file\nPORT=1\n");
    writeConfiguration(root, `{ "email_notification": { "password": "\${MAIL_PASSWORD}" } }`);
    await using server = await startProbe({
      root,
      env: { MAIL_PASSWORD: "from environment", BOTH: "environment", UNNAMED: "no business of the Worker" },
    });
    expect(await getJson(`${server.url}/variables`)).toEqual({
      ADMIN_TOKEN: TEST_ADMIN_TOKEN,
      SIGNING_KEY: server.signingKey,
      ALLOW_LOCAL_TARGETS: "false",
      PUBLIC_URL: server.url,
      CORS_ORIGINS: "",
      BOOT_ID: expect.stringMatching(/^[0-9a-f-]{36}$/),
      AGENT_GROUP: {},
      COORDINATOR: {},
      NOTIFIER: {},
      FROM_FILE: 'a "b" $c',
      BOTH: "environment",
      MAIL_PASSWORD: "from environment",
    });
    expect(readFileSync(join(server.dataDir, "workerd.capnp"), "utf8")).not.toContain(TEST_ADMIN_TOKEN);
  });

  it("lets the Worker reach this machine only where that is allowed", async () => {
    await using target = await startProbe();
    for (const [allowed, answer] of [
      ["false", /Error/],
      ["true", /^200$/],
    ] as const) {
      await using server = await startProbe({ env: { ALLOW_LOCAL_TARGETS: allowed } });
      expect(await getText(`${server.url}/fetch?url=${target.url}/healthz`)).toMatch(answer);
    }
  });

  it("trusts the certificates of NODE_EXTRA_CA_CERTS, and only those", async () => {
    const [trusted, other] = await Promise.all([makeCertificates(), makeCertificates()]);
    await using receiver = createHttpsServer({ cert: trusted.cert, key: trusted.key }, (_request, response) =>
      response.end(),
    );
    await once(receiver.listen(0, "127.0.0.1"), "listening");
    const port = (receiver.address() as AddressInfo).port;
    const bundle = join(folder, "certificates.pem");
    writeFileSync(bundle, `${other.ca}\n${trusted.ca}`);
    for (const [certificates, answer] of [
      [bundle, /^200$/],
      ["", /Error/],
    ] as const) {
      await using server = await startProbe({
        env: { ALLOW_LOCAL_TARGETS: "true", NODE_EXTRA_CA_CERTS: certificates },
      });
      expect(await getText(`${server.url}/fetch?url=https://localhost:${port}/`)).toMatch(answer);
    }
  });

  it("shows an edited configuration file after a restart, without a new bundle", async () => {
    const root = copyProject();
    await using server = await startProbe({ root });
    await server.stop();
    const edited = '{ "lock_config": { "default_ttl_seconds": 7 } } // edited';
    writeConfiguration(root, edited);
    await server.restart();
    expect(await getText(`${server.url}/configuration`)).toBe(edited);
  });
});

describe("local secrets", () => {
  it("are made on first use, readable by the owner only, shown as a link, and used again", async () => {
    const dataDir = freshFolder();
    await using server = await startProbe({ dataDir, env: LOCAL_SECRETS });
    const variables = (await getJson(`${server.url}/variables`)) as Record<string, string>;
    for (const secret of [variables.ADMIN_TOKEN, variables.SIGNING_KEY]) {
      expect(secret).toMatch(/^[A-Za-z0-9._-]{43,}$/);
    }
    const link = `sign in: ${server.url}/#token=${variables.ADMIN_TOKEN}\n`;
    expect(server.output()).toContain(link);
    expect(modeOf(dataDir)).toBe(0o700);
    for (const name of ["secrets.json", "lock.json"]) expect(modeOf(join(dataDir, name))).toBe(0o600);

    await server.stop();
    await server.restart();
    expect(await getJson(`${server.url}/variables`)).toMatchObject({
      ADMIN_TOKEN: variables.ADMIN_TOKEN,
      SIGNING_KEY: variables.SIGNING_KEY,
    });
    expect(server.output().split(link)).toHaveLength(3);
  });

  it("are neither stored nor shown when they are given", async () => {
    await using server = await startProbe();
    expect(existsSync(join(server.dataDir, "secrets.json"))).toBe(false);
    expect(server.output()).not.toContain("sign in");
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

  it("refuse a configuration file with a mistake, naming the file and the key", async () => {
    const root = copyProject();
    writeConfiguration(root, '{ "lock_config": { "defualt_ttl_seconds": 7 } }');
    const { code, stderr } = await run({}, [], root);
    expect(code).toBe(2);
    expect(stderr).toContain(join(root, "configs", "distributed_config.json"));
    expect(stderr).toContain("lock_config.defualt_ttl_seconds");
  });
});

describe("npm run dev", () => {
  it("serves the Worker, and leaves no process behind when it ends", async () => {
    await using server = await startServer({ script: "dev" });
    expect(server.output()).toContain(`ready http://127.0.0.1:${server.port}\n`);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect(server.output()).not.toContain(TEST_ADMIN_TOKEN);
    expect(modeOf(join(server.dataDir, "dev.env"))).toBe(0o600);

    const { code, stderr } = await run({ DATA_DIR: server.dataDir });
    expect(code).toBe(3);
    expect(stderr).toContain(`is in use by npm run dev (pid ${server.pid})`);

    expect(await server.stop()).toBe(0);
    expect(server.processes()).toEqual([]);
    expect(existsSync(join(server.dataDir, "dev.env"))).toBe(false);
  });
});

function writeConfiguration(root: string, text: string): void {
  writeFileSync(join(root, "configs", "distributed_config.json"), text);
}
