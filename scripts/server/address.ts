/**
 * One address, written as each reader needs it: in a URL, in workerd's configuration, and as the
 * address on which a server that listens everywhere can be reached from its own machine.
 */
import { lookup } from "node:dns/promises";
import { isIP, isIPv6 } from "node:net";

/** `host:port`, IPv6 in brackets. */
export const authority = (host: string, port: number): string =>
  isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;

export const origin = (host: string, port: number): string => `http://${authority(host, port)}`;

/** The address behind a host name, IPv4 before IPv6 since every client tries it; null: there is none. */
export async function resolveHost(host: string): Promise<string | null> {
  if (isIP(host) !== 0) return host;
  try {
    return (await lookup(host, { order: "ipv4first" })).address;
  } catch {
    return null;
  }
}

/** "Any address" is nothing to connect to, save on some systems. */
export function reachable(address: string): string {
  if (address === "0.0.0.0") return "127.0.0.1";
  return isIPv6(address) && /^[0:]+$/.test(address) ? "::1" : address;
}
