/** The data folder of `npm start`: how to shrink it, and what becomes of one that a newer version wrote. */
import { spawnSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, it, vi } from "vitest";
import { ClusterClient } from "../support/cluster-client.ts";
import { fencedBlocks } from "../support/markdown.ts";
import { freshFolder, probeOfThisFile, run } from "../support/probe-commands.ts";
import { PROJECT_ROOT, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

// A start, some megabytes of tasks and a second start, on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

probeOfThisFile();

const TASKS = 40;
const TASK_CHARACTERS = 200_000;

const sizeOf = (dataDir: string) =>
  globSync(join(dataDir, "do/*/*.sqlite*")).reduce((sum, path) => sum + statSync(path).size, 0);

it("the commands of docs/operations.md shrink the folder of a stopped server, which then starts again", async () => {
  await using server = await startServer();
  const cluster = new ClusterClient(server, "default");
  const ids = Array.from({ length: TASKS }, (_, index) => `t${index}`);
  for (const id of ids) {
    await cluster.ask("POST", "/tasks", { id, type: "resize", data: "x".repeat(TASK_CHARACTERS) });
    await cluster.ask("POST", `/tasks/${id}/cancel`);
  }
  await cluster.ask("POST", "/tasks", { id: "kept", type: "resize", data: "small" });
  await cluster.ask("PATCH", "/config", { task_config: { retention_seconds: 1 } });
  const isDropped = async () => (await cluster.all<{ id: string }>("/tasks")).length === 1;
  await until(isDropped, "the finished tasks to be dropped");
  await server.stop();
  const before = sizeOf(server.dataDir);
  expect(before).toBeGreaterThan(TASKS * TASK_CHARACTERS * 0.9);

  const page = readFileSync(join(PROJECT_ROOT, "docs/operations.md"), "utf8");
  const script = fencedBlocks(page).find(({ text }) => text.includes("VACUUM"))?.text ?? "";
  const env = { ...process.env, DATA_DIR: server.dataDir };
  const { status, stderr } = spawnSync("sh", ["-e", "-c", script], { env, encoding: "utf8" });

  expect(status, stderr).toBe(0);
  expect(sizeOf(server.dataDir)).toBeLessThan(before / 10);
  await server.restart();
  expect(await cluster.ask("GET", "/tasks/kept")).toMatchObject({
    task: { status: "pending", data: "small" },
  });
});

it("a folder that a newer version wrote is refused before the Worker is built, with exit code 5", async () => {
  const dataDir = freshFolder();
  const folder = join(dataDir, "do", "Coordinator");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${"a".repeat(64)}.sqlite`);
  const database = new DatabaseSync(path);
  database.exec("CREATE TABLE migrations (number INTEGER PRIMARY KEY, statements TEXT NOT NULL)");
  for (let number = 0; number < 99; number++)
    database.exec(`INSERT INTO migrations VALUES (${number}, '[]')`);
  database.close();

  const { code, stderr } = await run({ BUNDLE_DIR: "", DATA_DIR: dataDir });

  expect(code).toBe(5);
  expect(stderr).toContain(
    `data folder ${dataDir} was written by a newer version of the program: ${path} has 99`,
  );
});
