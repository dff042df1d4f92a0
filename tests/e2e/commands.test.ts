/** `npm start` and `npm run dev` as processes: their output, their data, their errors, and a clean end. */
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { makeCertificates } from "../support/certificates.ts";
import { writeProbeBundle } from "../support/probe-bundle.ts";
import {
  copyProject,
  freshFolder,
  getJson,
  getText,
  modeOf,
  probe,
  probeOfThisFile,
  run,
  startProbe,
  writeConfiguration,
} from "../support/probe-commands.ts";
import { ProcessGroup } from "../support/process-group.ts";
import { commandEnvironment, startServer, TEST_ADMIN_TOKEN } from "../support/server.ts";

// Bundling, the start of wrangler dev and the limit for a request that hangs, on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

probeOfThisFile();

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
    const env = commandEnvironment({ BUNDLE_DIR: probe(), DATA_DIR: freshFolder(), PORT: "0" });
    await using server = new ProcessGroup(process.execPath, ["scripts/start.ts"], { env });
    await server.said(/^ready /m);
    server.signalAll("SIGINT");
    expect(await server.gone()).toBe(0);
    expect(server.output()).not.toContain("ended by itself");
  });

  it("ends when the npm that runs it gets SIGTERM", async () => {
    const dataDir = freshFolder();
    const env = commandEnvironment({ BUNDLE_DIR: probe(), DATA_DIR: dataDir, PORT: "0" });
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
    const bundle = `${freshFolder()}.pem`;
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

describe("npm run dev", () => {
  it("serves the Worker, and leaves no process behind when it ends", async () => {
    await using server = await startServer({ script: "dev" });
    expect(server.output()).toContain(`ready http://127.0.0.1:${server.port}\n`);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect(server.output()).not.toContain(TEST_ADMIN_TOKEN);
    const folder = join(server.dataDir, "dev");
    expect(modeOf(join(folder, "dev.env"))).toBe(0o600);
    expect(readdirSync(server.dataDir)).toEqual(["dev"]);

    expect(await server.stop()).toBe(0);
    expect(server.processes()).toEqual([]);
    expect(existsSync(join(folder, "dev.env"))).toBe(false);
    expect(existsSync(join(folder, "lock.json"))).toBe(false);
  });

  it("has a folder and a lock of its own in DATA_DIR: it starts while npm start runs, and no second one does", async () => {
    await using started = await startProbe();
    const { dataDir } = started;
    await using server = await startServer({ script: "dev", dataDir });
    for (const { url } of [started, server]) expect((await fetch(`${url}/healthz`)).status).toBe(200);

    const second = startServer({ script: "dev", dataDir });
    await expect(second).rejects.toThrow(
      `${join(dataDir, "dev")} is in use by npm run dev (pid ${server.pid})`,
    );
    const { code, stderr } = await run({ DATA_DIR: dataDir });
    expect(code).toBe(3);
    expect(stderr).toContain(`${dataDir} is in use by npm start (pid ${started.pid})`);
  });
});
