import { join } from "node:path";
import type { WorkerCommand } from "../system.ts";

/** A worker of this folder, run by the same Node as the runner. */
export const nodeWorker = (
  name: string,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): WorkerCommand => ({
  program: process.execPath,
  words: [join(import.meta.dirname, "..", "workers", `${name}.ts`), ...words],
  env,
});
