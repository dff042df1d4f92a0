/**
 * Ports for servers that keep theirs over a restart. A port is below the range from which the system takes the ports
 * of connections (from 32768 on Linux, 49152 elsewhere), so no connection takes it while its server is down; and each
 * process counts from a place of its own, so workers of the test runner do not meet.
 */
import { createServer } from "node:net";

const FIRST_PORT = 10_000;
const PORTS = 22_000;
/** More than the servers of one test file. */
const PORTS_A_PROCESS = 100;

let next = process.pid * PORTS_A_PROCESS;

/** A port of 127.0.0.1 on which nothing listens. */
export async function freshPort(): Promise<number> {
  for (let tries = 0; tries < PORTS; tries++) {
    const port = FIRST_PORT + (next++ % PORTS);
    if (await isFree(port)) return port;
  }
  throw new Error(`every port from ${FIRST_PORT} on is in use`);
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
