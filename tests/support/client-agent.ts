/**
 * An agent made with the client, as a separate program: tests kill it, and read its reports, one JSON line each.
 *
 *   node client-agent.ts '{ "url": "http://…", "token": "…", "id": "a", … }'
 */
import { setTimeout as delay } from "node:timers/promises";
import { Agent, type AgentOptions } from "../../client/src/index.ts";

const { workMs, ...options } = JSON.parse(process.argv[2] ?? "{}") as AgentOptions & { workMs: number };
const say = (what: string, task?: { id: string; attempt: number }) =>
  process.stdout.write(
    `${JSON.stringify({ what, task: task?.id ?? null, attempt: task?.attempt ?? null })}\n`,
  );

const agent = new Agent(options);
agent.on("work", async (task, { signal }) => {
  say("began", task);
  await delay(workMs, undefined, { signal });
  say("ended", task);
  return { by: options.id };
});
agent.listen("connected", ({ transport }) => say(`connected ${transport}`));
agent.listen("revoked", ({ task }) => say("revoked", task));
agent.listen("stopped", () => say("stopped"));
await agent.start();
say("started");
// The program never outlives its test.
process.stdin.on("close", () => process.exit(0)).resume();
