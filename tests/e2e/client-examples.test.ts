/** Every example in the client's comments compiles, and works against a real server. */
import { execFile } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROJECT_ROOT, type Server, startServer } from "../support/server.ts";

const run = promisify(execFile);
const SOURCE = join(PROJECT_ROOT, "client", "src");

/** A comment with an example, and the declaration after it. */
const EXAMPLE = /\/\*\*((?:(?!\*\/)[\s\S])*?)@example\n((?:(?!\*\/)[\s\S])*?)\s*\*\/\n\s*([^\n]*)/g;
/** A public method or function, with its comment, if any. */
const PUBLIC =
  /(?:\/\*\*((?:(?!\*\/)[\s\S])*?)\*\/\s*\n)?^(?: {2}|export )(?:async )?(?:static )?(?!private|readonly|get |const |class|type )([a-z]\w*)(?:<[^(]*>)?\([^)]*/gm;

type Example = { name: string; text: string };

const examples: Example[] = globSync("**/*.ts", { cwd: SOURCE })
  .sort()
  .flatMap((file) =>
    [...readFileSync(join(SOURCE, file), "utf8").matchAll(EXAMPLE)].map(([, , body = "", after = ""]) => ({
      place: `${basename(file, ".ts")}-${/(\w+)(?:<[^(]*>)?(?:\(| =| extends)/.exec(after)?.[1] ?? after}`,
      text: body.replace(/^\s*\* ?/gm, ""),
    })),
  )
  .map(({ place, text }, at) => ({ name: `${place}-${at + 1}`, text }));

/** The set-up of every example: two agents, a task that one of them holds, and a lock. */
const programOf = ({ name, text }: Example) => `
import * as client from "${join(SOURCE, "index.ts")}";
const { Agent, DistributedCoordinator, NotFoundError, isFinished } = client;
const access = { url: process.env.FAILOVER_URL, token: process.env.FAILOVER_TOKEN, cluster: "${name}" };
const coordinator = new DistributedCoordinator(access);
const agent = new Agent({ ...access, id: "example", handleSignals: false });
${name.startsWith("coordinator-registerAgent-") ? "" : 'await coordinator.registerAgent("agent2", "worker", ["task_type1", "task_type3"]);'}
const holder = new Agent({ ...access, id: "agent1", capabilities: ["task_type2"], handleSignals: false });
await holder.start();
await coordinator.tasks.submit({ ${name.startsWith("coordinator-assignTask-") ? "" : 'id: "task1", '}type: "task_type1" });
const { promise: isHeld, resolve: tellHeld } = Promise.withResolvers<void>();
const { promise: isDone, resolve: end } = Promise.withResolvers<void>();
const held = holder.withLock("db/${name.startsWith("agent-withLock-") ? "other" : "orders"}", () => { tellHeld(); return isDone; }).catch(() => {});
await isHeld;
try {
  {
${text}
  }
} finally {
  end();
  await held;
  await Promise.all([agent.stop({ graceSeconds: 0 }), holder.stop({ graceSeconds: 0 })]);
}
void [Agent, DistributedCoordinator, NotFoundError, isFinished];
`;

let server: Server;
let dir = "";
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "failover-examples-"));
  for (const example of examples) writeFileSync(join(dir, `${example.name}.ts`), programOf(example));
  writeFileSync(join(dir, "package.json"), '{ "type": "module" }');
  server = await startServer();
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

it("every public method has an example", () => {
  for (const file of ["agent/agent.ts", ...globSync("coordinator/*.ts", { cwd: SOURCE })]) {
    const text = readFileSync(join(SOURCE, file), "utf8");
    const bare = [...text.matchAll(PUBLIC)]
      .filter(([, comment]) => comment?.includes("@example") !== true)
      .map(([, , name]) => name);
    // The second line of an overload, an inner function, the class of an internal constructor.
    expect(
      [...new Set(bare)].filter((name) => !["registerAgent", "constructor", "listOf"].includes(name ?? "")),
      file,
    ).toEqual([]);
  }
});

it("all examples compile", async () => {
  const words = [
    "--ignoreConfig",
    "--noEmit",
    "--strict",
    "--target",
    "es2024",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
    "--lib",
    "es2024,dom,dom.iterable",
    "--skipLibCheck",
    "--allowImportingTsExtensions",
    "--types",
    "node",
    "--typeRoots",
    join(PROJECT_ROOT, "node_modules", "@types"),
  ];
  const files = examples.map(({ name }) => join(dir, `${name}.ts`));
  const compiled = await run(join(PROJECT_ROOT, "node_modules", ".bin", "tsc"), [...words, ...files]).catch(
    (error: { stdout: string }) => error,
  );
  expect(compiled.stdout).toBe("");
});

describe("running", () => {
  it("finds all examples", () => {
    const written = globSync("**/*.ts", { cwd: SOURCE }).map((file) =>
      readFileSync(join(SOURCE, file), "utf8"),
    );
    expect(examples).toHaveLength(written.join("").split("@example").length - 1);
  });

  it.concurrent.each(examples)("$name", async ({ name }) => {
    const env = { ...process.env, FAILOVER_URL: server.url, FAILOVER_TOKEN: server.adminToken };
    await run(process.execPath, [join(dir, `${name}.ts`)], { env, timeout: 30_000 });
  });
});
