/** Agents with a coordinator that grants locks. */
import { Agent } from "../../../client/src/index.ts";
import { type Answering, coordinatorWithAgents, json, problem } from "../fakes.ts";
import { keep } from "./agent-fixture.ts";

export const RENEW = /\/renew$/;
export const RELEASE = /\/release$/;
export const ACQUIRE = /\/acquire$/;
export const held = () => problem(409, "lock_held", { holder: "other" });

export async function agentWithLocks(times = { intervalSeconds: 1000, timeoutSeconds: 3000 }) {
  const { fake } = coordinatorWithAgents(times);
  let fencing_token = 0;
  const grant: Answering = ({ body, headers }) =>
    json({
      lock: {
        resource: "db/orders",
        incarnation: Number(headers.get("Authorization")?.split("-")[1]),
        fencing_token: ++fencing_token,
        ttl_seconds: (body as { ttl_seconds: number }).ttl_seconds,
      },
    });
  fake.on("POST", ACQUIRE, grant);
  fake.on("POST", RENEW, () => json({ lock: {} }));
  fake.on("POST", RELEASE, () => json({ lock: {} }));
  const agent = new Agent({ ...fake.options, id: "a", transport: "http", handleSignals: false });
  keep(agent);
  await agent.start();
  return { fake, agent, grant };
}

/** Holds the lock until `end` is called; records when it was granted and when its signal was aborted. */
export function holding(agent: Agent, options: Parameters<Agent["withLock"]>[2] = { ttlSeconds: 30 }) {
  const done = Promise.withResolvers<string>();
  const held = {
    token: null as number | null,
    abortedAtMs: null as number | null,
    startedAtMs: null as number | null,
    end: () => done.resolve("done"),
    outcome: agent
      .withLock(
        "db/orders",
        (token, signal) => {
          held.token = token;
          held.startedAtMs = performance.now();
          signal.addEventListener("abort", () => {
            held.abortedAtMs = performance.now();
          });
          return done.promise;
        },
        options,
      )
      .catch((error: Error) => error),
  };
  return held;
}
