/**
 * An agent made with the client, with the settings, the task types and the messages of the agents in examples/: so one
 * test can try an agent in every language.
 *
 *   URL=http://… ADMIN_TOKEN=… CLUSTER=c AGENT_ID=a TRANSPORT=http node client-program.ts
 */
import { setTimeout as delay } from "node:timers/promises";
import { Agent } from "../../client/src/index.ts";

const { URL: url, ADMIN_TOKEN: token, CLUSTER: cluster, AGENT_ID: id = "", TRANSPORT, ...env } = process.env;

const agent = new Agent({
  url,
  token,
  cluster,
  id,
  transport: TRANSPORT === "http" ? "http" : "socket",
  heartbeatIntervalSeconds: Number(env.HEARTBEAT_INTERVAL_SECONDS),
  heartbeatTimeoutSeconds: Number(env.HEARTBEAT_TIMEOUT_SECONDS),
});
agent.on<{ steps: number; step_seconds: number }>("take_steps", async (task, { signal, attempt }) => {
  console.log(`works on ${task.id}, attempt ${attempt}`);
  await delay(task.data.steps * task.data.step_seconds * 1000, undefined, { signal });
  console.log(`finished ${task.id}, attempt ${attempt}`);
  return { steps: task.data.steps };
});
agent.listen("registered", ({ incarnation }) => console.log(`registered, incarnation ${incarnation}`));
await agent.start();
