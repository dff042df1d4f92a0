/**
 * Whether slow receivers delay a failover: the same failover in a cluster without notifications, and in one whose
 * every channel hangs, with notifications of earlier failures still in flight.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server as TcpServer } from "node:net";
import { ClusterClient } from "../tests/support/cluster-client.ts";
import { type Server, startServer } from "../tests/support/server.ts";
import { type Benchmark, type Figure, figure } from "./benchmark.ts";
import { msBeyondDeadline } from "./failover-delay.ts";

const TASKS = 100;
const ROUNDS = 5;
/** Failures before the measured one: each has a notification of its own that hangs. */
const FAILURES_BEFORE = 3;

export const notifications: Benchmark = {
  name: "notifications",
  summary: "a failover while every receiver of notifications hangs, beside one without notifications",
  measure,
};

async function measure(): Promise<Figure[]> {
  const receiver = await listenSilently();
  try {
    await using server = await startServer({ env: { ALLOW_LOCAL_TARGETS: "true" } });
    const without: number[] = [];
    const hanging: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const withoutMs = await msBeyondDeadline(await clusterWith(server, `without-${round}`, []), TASKS);
      const cluster = await clusterWith(
        server,
        `hanging-${round}`,
        ["log", "email", "webhook", "system"],
        receiver,
      );
      await failBefore(cluster, receiver);
      const hangingMs = await msBeyondDeadline(cluster, TASKS);
      // The first round is a warm-up.
      if (round === 0) continue;
      without.push(withoutMs);
      hanging.push(hangingMs);
    }
    return [
      figure({
        what: `${TASKS} tasks moved, all receivers hanging`,
        unit: "ms",
        values: hanging,
        baseline: { what: "no notifications", values: without },
      }),
    ];
  } finally {
    receiver.close();
  }
}

async function clusterWith(
  server: Server,
  name: string,
  channels: string[],
  receiver?: Receiver,
): Promise<ClusterClient> {
  const cluster = new ClusterClient(server, name);
  await cluster.ask("PATCH", "/config", {
    failure_notification: {
      notification_types: channels,
      group_wait_seconds: 0.05,
      max_messages_per_interval: 1000,
    },
    ...(receiver === undefined
      ? {}
      : {
          webhook_notification: { url: `http://127.0.0.1:${receiver.port}/`, timeout_seconds: 60 },
          email_notification: {
            recipients: ["ops@example.com"],
            from: "failover@example.com",
            smtp_server: "127.0.0.1",
            smtp_port: receiver.port,
            timeout_seconds: 60,
          },
        }),
  });
  return cluster;
}

/** Fails other agents, and waits until their notifications hang. */
async function failBefore(cluster: ClusterClient, receiver: Receiver): Promise<void> {
  for (let index = 0; index < FAILURES_BEFORE; index++) {
    const path = `/groups/default/agents/before-${index}`;
    await cluster.ask("PUT", path, { type: "benchmark", capabilities: [] });
    await cluster.ask("POST", `/agents/before-${index}/failures`, { failure_type: "benchmark" });
    // The email and the webhook have both connected, and wait.
    await receiver.connections(2);
  }
}

type Receiver = {
  port: number;
  /** Resolves when that many more connections are open. */
  connections(count: number): Promise<void>;
  close(): void;
};

/** Accepts every connection and never sends a byte. */
async function listenSilently(): Promise<Receiver> {
  const sockets = new Set<{ destroy(): void }>();
  const server: TcpServer = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.resume();
    server.emit("taken");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  let awaited = 0;
  return {
    port: (server.address() as AddressInfo).port,
    async connections(count) {
      awaited += count;
      while (sockets.size < awaited) await once(server, "taken");
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
