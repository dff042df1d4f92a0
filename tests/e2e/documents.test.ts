/**
 * The documents are true: every shell command in them is run or checked, every snippet is parsed, and every
 * file, link, route and setting that they name exists.
 */
import { execFile } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SETTINGS } from "../../scripts/server/settings.ts";
import { WRANGLER_SCRIPT, wranglerEnvironment } from "../../scripts/server/wrangler.ts";
import { parseConfigFile } from "../../src/validation/configuration/config-file.ts";
import { LANGUAGES as AGENT_LANGUAGES, missingFor } from "../support/example-agents.ts";
import { anchors, fencedBlocks, inlineCode, linkTargets, prose } from "../support/markdown.ts";
import { ProcessGroup } from "../support/process-group.ts";
import { PROJECT_ROOT, type Server, startServer } from "../support/server.ts";

/** All documents of the project, without dependencies and hidden folders. */
const DOCUMENTS = globSync("**/*.md", {
  cwd: PROJECT_ROOT,
  exclude: (path) => /^(?:node_modules|\..+)$/.test(basename(path)),
}).sort();
/** Languages of blocks that every document may have, since they are checked here. */
const LANGUAGES = ["sh", "json", "text"];
/** All other blocks, in order. A new block must be added here and run by a test. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  // The same as the first one of client/README.md.
  "README.md": ["js"],
  // By client-package.test.ts.
  "client/README.md": ["js", "js", "js"],
  // By tests/docs/notifications.test.ts.
  "docs/notifications.md": ["js", "python", "bash"],
};
/** Its shell blocks need two more terminals. */
const EXAMPLES = "examples/README.md";
/** The output of a document's shell blocks when they work. */
const PRINTED: Readonly<Record<string, readonly string[]>> = {
  // Register, beat, submit, complete, lock, and read the failures.
  "README.md": [
    '"deadline_at"',
    "curl1 takes report1 (report)",
    '"status":"completed"',
    '"fencing_token"',
    '{"items":[],"next_cursor":null}',
  ],
  // Answers over the socket: to the ping, and to the completion.
  "docs/agents.md": ["pong\n", '"type":"ack","request_id":"2"'],
  "docs/strategies.md": ["poster-2:2 press-2"],
};
const FOLDERS = "worker|src|client|scripts|tests|docs|configs|examples|benchmarks|lint";
/** For one shell block; each call in it takes milliseconds. */
const SHELL_LIMIT_MS = 30_000;

const readDocument = (name: string) => readFileSync(join(PROJECT_ROOT, name), "utf8");
const inProject = (path: string) => existsSync(join(PROJECT_ROOT, path));

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "failover-documents-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A command of this project, such as `PORT=0 npm start -- --help`; other lines of a shell block are run. */
const COMMAND = /^(?:[A-Z_]+=\S+ )*(npm|npx|node) (.+)$/;

const commandsOf = (block: string) =>
  block
    .split("\n")
    .filter((row) => row.trim() !== "" && !row.startsWith("#"))
    .flatMap((row) => row.split(" && "));
const isCommands = (block: string) => commandsOf(block).every((command) => COMMAND.test(command));

/** Shell blocks by document, those that consist of the project's own commands apart from those to be run. */
function shellBlocks(name: string): { commands: string[]; scripts: string[] } {
  const blocks = fencedBlocks(readDocument(name)).filter(({ language }) => language === "sh");
  return {
    commands: blocks.filter(({ text }) => isCommands(text)).flatMap(({ text }) => commandsOf(text)),
    scripts: blocks.filter(({ text }) => !isCommands(text)).map(({ text }) => text),
  };
}

/** Null if the command works here, else what is wrong with it. */
async function wrongWith(command: string): Promise<string | null> {
  const [, program, rest = ""] = COMMAND.exec(command) ?? [];
  const words = [...rest.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? "");
  if (program === "npm") return wrongWithNpm(words);
  if (program === "node") return inProject(words[0] ?? "") ? null : `${words[0]} does not exist`;
  const [tool = "", ...others] = words;
  if (!inProject(join("node_modules", ".bin", tool))) return `${tool} is not installed`;
  if (tool === "vitest") return wrongWithVitest(others);
  return tool === "wrangler" ? wrongWithWrangler(others) : null;
}

const { scripts } = JSON.parse(readDocument("package.json")) as { scripts: Record<string, string> };

/** The files that npm publishes from the folder `client/`. */
const CLIENT_FILE = (() => {
  const { name, version } = JSON.parse(readDocument("client/package.json")) as {
    name: string;
    version: string;
  };
  return `${name}-${version}.tgz`;
})();

function wrongWithNpm([verb = "", ...words]: string[]): string | null {
  const [name = ""] = words.filter((word) => !word.startsWith("--"));
  if (verb === "ci" || (verb === "install" && name === "")) return null;
  if (verb === "pack") return inProject(join(name, "package.json")) ? null : `${name} is no package`;
  if (verb === "install")
    return basename(name) === CLIENT_FILE ? null : `the client is packed as ${CLIENT_FILE}`;
  const script = verb === "run" ? name : verb;
  return script in scripts ? null : `package.json has no script ${script}`;
}

function wrongWithVitest(words: string[]): string | null {
  const project = words[words.indexOf("--project") + 1];
  const file = words.find((word) => word.endsWith(".test.ts")) ?? "";
  const isProject = new RegExp(`(?:name: |inNode\\()"${project}"`).test(readDocument("vitest.config.ts"));
  if (!isProject) return `there is no project ${project}`;
  if (!inProject(file)) return `${file} does not exist`;
  const title = words.includes("-t") ? (words[words.indexOf("-t") + 1] ?? "") : "";
  return readDocument(file).includes(title) ? null : `no test of ${file} is called ${title}`;
}

const wranglerAnswers = new Map<string, Promise<string | null>>();

/** Asks once for all commands that differ only in the name of a secret: each start takes seconds. */
function wrongWithWrangler(words: string[]): Promise<string | null> {
  const asked = words.filter((word) => !/^[A-Z_]+$/.test(word));
  const known = wranglerAnswers.get(asked.join(" ")) ?? helpFails(asked);
  wranglerAnswers.set(asked.join(" "), known);
  return known;
}

/** Its help for an unknown command is an error. */
async function helpFails(words: string[]): Promise<string | null> {
  try {
    await promisify(execFile)(process.execPath, [WRANGLER_SCRIPT, ...words, "--help"], {
      cwd: folder,
      env: { ...process.env, ...wranglerEnvironment(process.env, folder) },
    });
    return null;
  } catch (error) {
    return String(error);
  }
}

type Ran = { code: number | null; output: string };

/** Runs the block as a reader would paste it, but ends at any call that is answered with an error. */
async function runInBash(script: string, cwd: string, env: Record<string, string>): Promise<Ran> {
  const strict = `curl() { command curl --fail-with-body --show-error --max-time 20 "$@"; }\n${script}`;
  await using bash = new ProcessGroup("bash", ["-e", "-u", "-o", "pipefail", "-c", strict], {
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: folder, ...env },
  });
  const code = await Promise.race([bash.ended, delay(SHELL_LIMIT_MS, null, { ref: false })]);
  return { code, output: bash.output() };
}

/** A server that made its own secrets, in `.data` of a folder, as after `npm start`. */
async function startInFolder(name: string): Promise<{ server: Server; cwd: string; adminToken: string }> {
  const cwd = join(folder, name);
  const dataDir = join(cwd, ".data");
  const server = await startServer({ dataDir, env: { ADMIN_TOKEN: "", SIGNING_KEY: "" } });
  const secrets = JSON.parse(readFileSync(join(dataDir, "secrets.json"), "utf8")) as { admin_token: string };
  return { server, cwd, adminToken: secrets.admin_token };
}

it("there are documents", () => {
  expect(DOCUMENTS).toEqual(
    expect.arrayContaining([
      "README.md",
      "CHANGELOG.md",
      "CONTRIBUTING.md",
      "client/README.md",
      "docs/origin.md",
      "docs/configuration.md",
      "docs/decisions/0001-registration-goes-through-the-coordinator.md",
      "examples/README.md",
    ]),
  );
});

describe.each(DOCUMENTS)("%s", (name) => {
  const text = readDocument(name);

  it("has only blocks that are run or checked", () => {
    const others = fencedBlocks(text).filter(({ language }) => !LANGUAGES.includes(language));
    expect(others.map(({ language }) => language)).toEqual(PROGRAMS[name] ?? []);
    // No check here sees a block inside a list.
    expect(text).not.toMatch(/^[ \t>]+```/m);
  });

  it("links to existing files", () => {
    for (const target of linkTargets(text)) {
      if (/^https?:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? name : join(dirname(name), path);
      expect(inProject(file), target).toBe(true);
      if (anchor !== undefined) expect(anchors(readDocument(file)), target).toContain(anchor);
    }
  });

  it("names existing files", () => {
    for (const code of inlineCode(text)) {
      // The origin document describes an earlier project with tests in Python.
      if (!new RegExp(`^(?:${FOLDERS})/[^\\s{}*]+$`).test(code) || code.endsWith(".py")) continue;
      expect(inProject(code), code).toBe(true);
    }
  });

  it("has existing commands", async () => {
    const inline = inlineCode(text).filter((code) => COMMAND.test(code) && !/\b[A-Z]{4,}$/.test(code));
    const commands = new Set([...shellBlocks(name).commands, ...inline]);
    const wrong = await Promise.all(
      [...commands].map(async (command) => ({ command, why: await wrongWith(command) })),
    );
    expect(wrong.filter(({ why }) => why !== null)).toEqual([]);
  });

  it("has JSON that is a valid configuration", () => {
    for (const { language, text: json, line } of fencedBlocks(text)) {
      if (language === "json") expect(parseConfigFile(json), `line ${line}`).toMatchObject({ ok: true });
    }
  });

  it("names nothing of the author's machine", () => {
    expect(text).not.toMatch(/(?:^|[\s"'(`])\/(?:work|root|home|tmp|Users)\//);
  });
});

describe("shell scripts in the documents", () => {
  const scripted = DOCUMENTS.filter((name) => name !== EXAMPLES && shellBlocks(name).scripts.length > 0);

  it.each(scripted)("%s: each works against a real server", async (name) => {
    const { server, cwd, adminToken } = await startInFolder(name.replaceAll("/", "-"));
    await using _ = server;
    const given = { ADMIN_TOKEN: adminToken, TOKEN: adminToken };
    const script = shellBlocks(name).scripts.join("\n");
    // A document that says where the token comes from has to be right about it.
    const env = { URL: server.url, ...(/^ADMIN_TOKEN=/m.test(script) ? {} : given) };
    const { code, output } = await runInBash(script, cwd, env);
    expect(code, output).toBe(0);
    for (const printed of PRINTED[name] ?? []) expect(output).toContain(printed);
  });

  it("docs/agents.md: works the same for a reader who comes from README.md", async () => {
    const { server, cwd, adminToken } = await startInFolder("readme-then-agents");
    await using _ = server;
    const env = { URL: server.url, ADMIN_TOKEN: adminToken };
    for (const name of ["README.md", "docs/agents.md"]) {
      const { code, output } = await runInBash(shellBlocks(name).scripts.join("\n"), cwd, env);
      expect(code, output).toBe(0);
      for (const printed of PRINTED[name] ?? []) expect(output).toContain(printed);
    }
  });

  const missing = AGENT_LANGUAGES.flatMap(missingFor);
  it.skipIf(missing.length > 0)(
    `${EXAMPLES}: both agents start, share the three tasks, and leave on Ctrl-C`,
    async () => {
      const { server, cwd, adminToken } = await startInFolder("examples");
      await using _ = server;
      symlinkSync(join(PROJECT_ROOT, "examples"), join(cwd, "examples"));
      const [settings = ""] = shellBlocks("README.md").scripts;
      const [agents = "", calls = "", ...others] = shellBlocks(EXAMPLES).scripts;
      expect(others).toEqual([]);
      const [first = "", second = "", ...more] = commandsOf(agents);
      expect(more).toEqual([]);
      const terminal = (row: string) =>
        new ProcessGroup("bash", ["-u", "-c", `${settings}\n${row}`], {
          cwd,
          env: {
            PATH: process.env.PATH,
            HOME: process.env.HOME,
            TMPDIR: folder,
            PYTHONDONTWRITEBYTECODE: "1",
            URL: server.url,
          },
        });
      await using agent1 = terminal(first);
      await using agent2 = terminal(second);
      for (const agent of [agent1, agent2]) await agent.said(/registered, incarnation \d+/);

      const { code, output } = await runInBash(`${settings}\n${calls}`, cwd, { URL: server.url });
      expect(code, output).toBe(0);
      const get = async (path: string) => {
        const headers = { Authorization: `Bearer ${adminToken}` };
        return (await fetch(`${server.url}/v1/clusters/default${path}`, { headers })).json();
      };
      const results = {
        words: { words: 3 },
        steps: { steps: 20 },
        locked: { fencing_token: expect.any(Number) },
      };
      for (const [id, result] of Object.entries(results)) {
        expect(await get(`/tasks/${id}?wait_seconds=30`)).toMatchObject({
          task: {
            status: "completed",
            attempt: 1,
            assigned_to: expect.stringMatching(/^agent[12]$/),
            result,
          },
        });
      }

      for (const agent of [agent1, agent2]) {
        agent.signalAll("SIGINT");
        expect(await agent.gone(), agent.output()).toBe(0);
      }
      expect(await get("/agents")).toMatchObject({ items: [] });
      expect(await get("/failures")).toMatchObject({ items: [] });
    },
  );
  if (missing.length > 0)
    console.warn(`${missing.join(" and ")} missing: the agents of examples/ are not run`);

  it("README.md: its agent is the one of client/README.md", () => {
    const [shown, packed] = ["README.md", "client/README.md"].map((name) =>
      fencedBlocks(readDocument(name)).find(({ language }) => language === "js"),
    );
    expect(shown?.text).toBe(packed?.text);
  });

  it("README.md: the first command runs the product, the second its tests", () => {
    const [first, second] = fencedBlocks(readDocument("README.md")).map(({ text }) => text.trim());
    expect(first).toBe("npm ci && npm start");
    expect(second).toBe("npm ci && npm test");
  });

  it("docs/operations.md: a copy of the data folder serves the same state", async () => {
    const { server, cwd, adminToken } = await startInFolder("backup");
    await using _ = server;
    const headers = { Authorization: `Bearer ${adminToken}`, "Content-Type": "application/json" };
    const path = "/v1/clusters/default/tasks";
    const body = JSON.stringify({ id: "kept", type: "task_type1" });
    expect((await fetch(server.url + path, { method: "POST", headers, body })).status).toBe(201);
    await server.stop();

    const copy =
      shellBlocks("docs/operations.md").scripts.find((script) => script.includes("data-backup")) ?? "";
    expect(await runInBash(copy, cwd, {})).toMatchObject({ code: 0 });
    await using restored = await startServer({
      dataDir: join(cwd, "data-backup"),
      env: { ADMIN_TOKEN: "", SIGNING_KEY: "" },
    });
    expect((await fetch(`${restored.url}${path}/kept`, { headers })).status).toBe(200);
  });
});

describe("in all documents", () => {
  it("npx never fetches a package that only has the name of the command", () => {
    for (const name of DOCUMENTS) {
      const calls = readDocument(name).match(/\bnpx [^`\n]*failover-coordinator/g) ?? [];
      for (const call of calls) expect(call, name).toBe("npx --no failover-coordinator");
    }
  });

  it("every named route exists", async () => {
    await using server = await startServer();
    const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, unknown>>;
    };
    const routes = Object.entries(document.paths).map(([path, methods]) => ({
      pattern: new RegExp(`^${path.replace(/\{[^}]+\}/g, "[^/]+")}$`),
      methods: Object.keys(methods).map((method) => method.toUpperCase()),
    }));
    const missing: string[] = [];
    for (const name of DOCUMENTS) {
      for (const [, method = "", path = ""] of prose(readDocument(name)).matchAll(
        /\b(GET|POST|PUT|PATCH|DELETE) ((?:C\/|\/)[^\s`,;?]+)/g,
      )) {
        const whole = path.replace(/^C\//, "/v1/clusters/default/");
        const exists = routes.some(({ pattern, methods }) => pattern.test(whole) && methods.includes(method));
        if (!exists) missing.push(`${name}: ${method} ${path}`);
      }
    }
    expect(missing).toEqual([]);
  });

  it("docs/operations.md has every setting, and no other", () => {
    const rows = [...readDocument("docs/operations.md").matchAll(/^\| `([A-Z_]+)` \|/gm)].map(
      (match) => match[1],
    );
    expect(rows).toEqual(SETTINGS.map(({ name }) => name));
  });

  it("the picture is valid SVG without scripts or external resources", () => {
    const picture = readDocument("docs/overview.svg");
    expect(picture).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox=/);
    expect(picture).toContain("prefers-color-scheme: dark");
    expect(picture).not.toMatch(/<script|<image|href=|@import|url\((?!#)/);
  });
});
