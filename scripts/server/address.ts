/** The address of the server in the forms that URLs, workerd and clients on this machine need. */
import { lookup } from "node:dns/promises";
import { isIP, isIPv6 } from "node:net";

/** `host:port`, IPv6 in brackets. */
export const authority = (host: string, port: number): string =>
  isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;

export const origin = (host: string, port: number): string => `http://${authority(host, port)}`;

/** The address of a host name, or null. IPv4 comes first, because every client tries it. */
export async function resolveHost(host: string): Promise<string | null> {
  if (isIP(host) !== 0) return host;
  try {
    return (await lookup(host, { order: "ipv4first" })).address;
  } catch {
    return null;
  }
}

/** An address to connect to. Most systems cannot connect to the address that means "any". */
export function reachable(address: string): string {
  if (address === "0.0.0.0") return "127.0.0.1";
  return isIPv6(address) && /^[0:]+$/.test(address) ? "::1" : address;
}
