/**
 * The agent that runs in every tested runtime: the published client beside it, and no other file of this project.
 * Its settings are its one argument, or the page's query.
 */
import { Agent } from "./index.js";

const isPage = typeof document !== "undefined";
const settings = isPage
  ? Object.fromEntries(new URLSearchParams(location.search))
  : JSON.parse(globalThis.process.argv[2]);

const agent = new Agent({ ...settings, heartbeatIntervalSeconds: 0.5, heartbeatTimeoutSeconds: 2 });
let transport = null;

agent.listen("connected", (event) => {
  transport = event.transport;
});
agent.on("look_around", async (task, { progress, attempt }) => {
  await progress(0.5);
  const fencingToken = await agent.withLock("db/orders", (token) => token);
  const runtime = globalThis.navigator?.userAgent ?? `Node.js/${globalThis.process.version.slice(1)}`;
  return { echo: task.data, attempt, fencingToken, runtime, transport };
});
agent.on("stay", (_, { signal }) => new Promise((resolve) => signal.addEventListener("abort", resolve)));
await agent.start();
