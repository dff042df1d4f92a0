/** An agent of this project with default settings: CLUSTER NAME (task | lock) (socket | http), URL and token by environment. */
import { Agent, LockHeldError } from "../../../client/src/index.ts";
import { argument, sayOutcome, sayReady, work } from "./worker.ts";

const [cluster, id, job, transport] = [argument(0), argument(1), argument(2), argument(3)];
const agent = new Agent({
  url: process.env.FAILOVER_URL,
  token: process.env.FAILOVER_TOKEN,
  cluster,
  id,
  transport: transport === "http" ? "http" : "socket",
});
agent.on("work", () => work({ by: id }));
agent.listen("reported", ({ task }) => sayOutcome(task.status));
agent.listen("revoked", ({ reason }) => sayOutcome(`revoked: ${reason}`));
agent.listen("lateResult", ({ error }) =>
  sayOutcome(`refused: ${error.code}, ${JSON.stringify(error.evidence)}`),
);
agent.listen("error", ({ error }) => sayOutcome(`error: ${String(error)}`));
await agent.start();
sayReady();
while (job === "lock") {
  try {
    await agent.withLock("peers", () => work(null));
  } catch (error) {
    if (!(error instanceof LockHeldError)) throw error;
  }
}
