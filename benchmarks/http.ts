/**
 * The calls per second of a server, over HTTP as agents and producers use it. The client runs on the same machine
 * and
 * uses a part of it, also during the baseline: the health check, which passes through the Worker and calls no
 * object.
 */
import { startServer } from "../tests/support/server.ts";
import { type Benchmark, type Figure, figure } from "./benchmark.ts";
import { Clients } from "./load.ts";

const CLIENTS = 32;
const ROUNDS = 3;
const MEASURED_MS = 1000;
/** Longer than the whole run: no agent may be declared failed meanwhile. */
const TIMEOUT_SECONDS = 3600;

const CLUSTER = "/v1/clusters/benchmark";
const GROUP = `${CLUSTER}/groups/default`;

type Work = { what: string; step: (client: number) => Promise<unknown> };

export const http: Benchmark = {
  name: "http",
  summary: `heartbeats, tasks and locks a second over ${CLIENTS} connections to npm start`,
  measure,
};

async function measure(): Promise<Figure[]> {
  await using server = await startServer();
  using clients = new Clients(server.url, CLIENTS);
  const tokens = await Promise.all(
    Array.from({ length: CLIENTS }, (_, client) => register(clients, client, server.adminToken)),
  );
  const baseline: Work = {
    what: "health checks",
    step: () => clients.call("GET", "/healthz", null),
  };
  const works = worksOf(clients, server.adminToken, tokens);
  const rates = new Map<Work, number[]>([baseline, ...works].map((work) => [work, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [work, values] of rates) {
      // The first round is a warm-up and can be shorter.
      const rate = await clients.perSecond(round === 0 ? MEASURED_MS / 2 : MEASURED_MS, work.step);
      if (round > 0) values.push(rate);
    }
  }
  const measured = (work: Work) => ({ what: work.what, values: rates.get(work) ?? [] });
  return works.map((work) => figure({ ...measured(work), unit: "/s", baseline: measured(baseline) }));
}

function worksOf(clients: Clients, adminToken: string, tokens: readonly string[]): Work[] {
  const tokenOf = (client: number) => tokens[client] ?? "";
  let tasks = 0;
  return [
    {
      what: "heartbeats",
      step: (client) =>
        clients.call("POST", `${GROUP}/agents/${agentId(client)}/heartbeat`, tokenOf(client), {}),
    },
    {
      what: "tasks submitted, started, completed (3 calls)",
      step: async (client) => {
        tasks += 1;
        const submission = { id: `task-${tasks}`, type: typeOf(client) };
        await clients.call("POST", `${CLUSTER}/tasks`, adminToken, submission);
        const holder = { agent_id: agentId(client), attempt: 1 };
        const path = `${CLUSTER}/tasks/${submission.id}`;
        await clients.call("POST", `${path}/start`, tokenOf(client), holder);
        await clients.call("POST", `${path}/complete`, tokenOf(client), { ...holder, result: "done" });
      },
    },
    {
      what: "locks acquired, released (2 calls)",
      step: async (client) => {
        const path = `${GROUP}/locks/resource-${client}`;
        const acquisition = { agent_id: agentId(client) };
        const answer = await clients.call("POST", `${path}/acquire`, tokenOf(client), acquisition);
        const { lock } = JSON.parse(answer) as { lock: { fencing_token: number } };
        const proof = { fencing_token: lock.fencing_token };
        await clients.call("POST", `${path}/release`, tokenOf(client), proof);
      },
    },
  ];
}

const agentId = (client: number) => `agent-${client}`;

/** Each agent has a type of its own, so that a client knows which agent gets its task. */
const typeOf = (client: number) => `work-${client}`;

async function register(clients: Clients, client: number, adminToken: string): Promise<string> {
  const answer = await clients.call("PUT", `${GROUP}/agents/${agentId(client)}`, adminToken, {
    type: "benchmark",
    capabilities: [typeOf(client)],
    heartbeat_timeout_seconds: TIMEOUT_SECONDS,
  });
  return (JSON.parse(answer) as { token: string }).token;
}
