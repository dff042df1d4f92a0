/** Checks before the start whether the port is free, and finds the process that uses it if not. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { done, type Outcome, refuse, systemCode } from "./outcome.ts";
import { nameOf } from "./process-tree.ts";

/**
 * The port if it is free; for 0 any free port. The check closes the port again for the child process that will listen.
 * If another program takes the port in between, the child process reports this and ends.
 */
export async function freePort(address: string, port: number): Promise<Outcome<number>> {
  const tried = await listenBriefly(address, port);
  if ("port" in tried) return done(tried.port);

  if (tried.code === "EADDRINUSE") {
    const listener = findListener(port);
    const by = listener === null ? "" : ` by ${listener.name} (pid ${listener.pid})`;
    const end = listener === null ? "end the program that listens there" : `end it with kill ${listener.pid}`;
    return refuse("inUse", `port ${port} on ${address} is in use${by}; ${end}, or choose another PORT`);
  }
  if (tried.code === "EADDRNOTAVAIL") {
    return refuse("badSettings", `HOST: ${address} is not an address of this machine`);
  }
  if (tried.code === "EACCES") {
    return refuse("badSettings", `PORT: this user may not listen on ${port}; choose a port above 1023`);
  }
  return refuse("failed", `cannot listen on port ${port} of ${address}: ${tried.code}`);
}

function listenBriefly(address: string, port: number): Promise<{ port: number } | { code: string }> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve({ code: systemCode(error) ?? error.message }));
    server.listen({ host: address, port, exclusive: true }, () => {
      const bound = server.address();
      const chosen = typeof bound === "object" && bound !== null ? bound.port : port;
      server.close(() => resolve({ port: chosen }));
    });
  });
}

/** The process that listens on a port. Only Linux shows this, and only for processes of the same user. */
export function findListener(port: number): { pid: number; name: string } | null {
  const sockets = new Set(
    ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) => listeningSockets(table, port)),
  );
  if (sockets.size === 0) return null;
  for (const entry of readFolder("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const holds = readFolder(`/proc/${entry}/fd`).some((fd) =>
      sockets.has(readLink(`/proc/${entry}/fd/${fd}`)),
    );
    if (holds) return { pid: Number(entry), name: nameOf(Number(entry)) };
  }
  return null;
}

/** The listening sockets on that port, as `/proc/PID/fd` names them. */
function listeningSockets(table: string, port: number): string[] {
  // proc_net_tcp: sl, local_address (hex, hex port), rem_address, st (0A: listening), …, inode.
  const hexPort = port.toString(16).toUpperCase().padStart(4, "0");
  return readLines(table).flatMap((line) => {
    const columns = line.trim().split(/\s+/);
    const listens = columns[1]?.endsWith(`:${hexPort}`) && columns[3] === "0A";
    return listens ? [`socket:[${columns[9]}]`] : [];
  });
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n").slice(1);
  } catch {
    return [];
  }
}

function readFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
