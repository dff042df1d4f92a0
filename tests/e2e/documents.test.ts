/**
 * The documents say what is: every shell command in them is run or checked, every snippet is parsed, and every
 * file, link, route and setting they name exists.
 */
import { execFile, spawn } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SETTINGS } from "../../scripts/server/settings.ts";
import { WRANGLER_SCRIPT, wranglerEnvironment } from "../../scripts/server/wrangler.ts";
import { parseConfigFile } from "../../src/domain/configuration/config-file.ts";
import { anchors, fencedBlocks, inlineCode, linkTargets, prose } from "../support/markdown.ts";
import { PROJECT_ROOT, type Server, startServer } from "../support/server.ts";

const DOCUMENTS = globSync(["*.md", "docs/**/*.md"], { cwd: PROJECT_ROOT }).sort();
const LANGUAGES = ["sh", "json", "text"];
/** Run by tests/unit/notifications-document.test.ts. */
const SNIPPET_LANGUAGES: Readonly<Record<string, readonly string[]>> = {
  "docs/notifications.md": ["js", "python", "bash"],
};
const FOLDERS = "worker|src|scripts|tests|docs|configs|examples|lint";
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

/** Null if the command is one that works here, else what is wrong with it. */
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

function wrongWithNpm([verb = "", name = ""]: string[]): string | null {
  if (verb === "ci") return null;
  const script = verb === "run" ? name : verb;
  return script in scripts ? null : `package.json has no script ${script}`;
}

function wrongWithVitest(words: string[]): string | null {
  const project = words[words.indexOf("--project") + 1];
  const file = words.find((word) => word.endsWith(".test.ts")) ?? "";
  if (!readDocument("vitest.config.ts").includes(`name: "${project}"`))
    return `there is no project ${project}`;
  if (!inProject(file)) return `${file} does not exist`;
  const title = words.includes("-t") ? (words[words.indexOf("-t") + 1] ?? "") : "";
  return readDocument(file).includes(title) ? null : `no test of ${file} is called ${title}`;
}

/** Its help for a command that does not exist is an error. */
async function wrongWithWrangler(words: string[]): Promise<string | null> {
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

/** As somebody would paste it, but any call that is answered with an error ends it. */
function runInBash(script: string, cwd: string, env: Record<string, string>): Promise<Ran> {
  const strict = `curl() { command curl --fail-with-body --show-error --max-time 20 "$@"; }\n${script}`;
  const child = spawn("bash", ["-e", "-u", "-o", "pipefail", "-c", strict], {
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: folder, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: SHELL_LIMIT_MS,
  });
  let output = "";
  for (const pipe of [child.stdout, child.stderr]) {
    pipe.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  }
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, output })));
}

/** A server whose secrets it made itself, in `.data` of a folder, as after `npm start`. */
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
      "docs/origin.md",
      "docs/configuration.md",
    ]),
  );
});

describe.each(DOCUMENTS)("%s", (name) => {
  const text = readDocument(name);

  it("has only blocks that are checked here", () => {
    const languages = [...LANGUAGES, ...(SNIPPET_LANGUAGES[name] ?? [])];
    for (const { language, line } of fencedBlocks(text))
      expect(languages, `line ${line}`).toContain(language);
  });

  it("links to what exists", () => {
    for (const target of linkTargets(text)) {
      if (/^https?:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? name : join(dirname(name), path);
      expect(inProject(file), target).toBe(true);
      if (anchor !== undefined) expect(anchors(readDocument(file)), target).toContain(anchor);
    }
  });

  it("names files that exist", () => {
    for (const code of inlineCode(text)) {
      // The document this grew from had tests in Python.
      if (!new RegExp(`^(?:${FOLDERS})/[^\\s{}*]+$`).test(code) || code.endsWith(".py")) continue;
      expect(inProject(code), code).toBe(true);
    }
  });

  it("has commands that exist", async () => {
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

  it("names nothing of the machine it was written on", () => {
    expect(text).not.toMatch(/(?:^|[\s"'(`])\/(?:work|root|home|tmp|Users)\//);
  });
});

describe("shell scripts in the documents", () => {
  const scripted = DOCUMENTS.filter((name) => shellBlocks(name).scripts.length > 0);

  it.each(scripted)("%s: each works against a real server", async (name) => {
    const { server, cwd, adminToken } = await startInFolder(name.replaceAll("/", "-"));
    await using _ = server;
    const given = { ADMIN_TOKEN: adminToken, TOKEN: adminToken };
    const script = shellBlocks(name).scripts.join("\n");
    // A document that says where the token comes from is taken at its word.
    const env = { URL: server.url, ...(/^ADMIN_TOKEN=/m.test(script) ? {} : given) };
    const { code, output } = await runInBash(script, cwd, env);
    expect(code, output).toBe(0);
  });

  it("README.md: six calls register, beat, submit, complete, lock, and read the failures", async () => {
    const { server, cwd } = await startInFolder("six-calls");
    await using _ = server;
    const { code, output } = await runInBash(shellBlocks("README.md").scripts.join("\n"), cwd, {
      URL: server.url,
    });
    expect(code, output).toBe(0);
    expect(output).toContain('"deadline_at"');
    expect(output).toContain("agent1 takes task1 (task_type1)");
    expect(output).toContain('"status":"completed"');
    expect(output).toContain('"fencing_token"');
    expect(output).toContain('{"items":[],"next_cursor":null}');
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

    const copy = shellBlocks("docs/operations.md").scripts.find((script) => script.includes(".data")) ?? "";
    expect(await runInBash(copy, cwd, {})).toMatchObject({ code: 0 });
    await using restored = await startServer({
      dataDir: join(cwd, "data-backup"),
      env: { ADMIN_TOKEN: "", SIGNING_KEY: "" },
    });
    expect((await fetch(`${restored.url}${path}/kept`, { headers })).status).toBe(200);
  });
});

describe("what the documents name", () => {
  it("every route exists", async () => {
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

  it("the picture is one that any page may show", () => {
    const picture = readDocument("docs/overview.svg");
    expect(picture).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox=/);
    expect(picture).toContain("prefers-color-scheme: dark");
    expect(picture).not.toMatch(/<script|<image|href=|@import|url\((?!#)/);
  });
});
