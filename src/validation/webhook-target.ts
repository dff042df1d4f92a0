/**
 * Checks where notifications may be sent: an address of the configuration must not reach into the network of the
 * server, or the server itself. Only the text is checked; the platform refuses a public name that resolves to a private
 * address (`global_fetch_strictly_public`). A reason never repeats the address, which may be a secret.
 */

export type TargetRules = {
  /** Allows http, IP addresses and local names (`ALLOW_LOCAL_TARGETS`). */
  readonly allowLocalTargets: boolean;
  /** The address of this server, or null if it is not known. */
  readonly publicUrl: string | null;
};

/**
 * Endings that no public name has: those of RFC 6761, 6762 and 8375, `internal` of ICANN, and those that routers and
 * companies use without a registration.
 */
const LOCAL_ENDINGS = [
  "localhost",
  "localdomain",
  "local",
  "internal",
  "intranet",
  "private",
  "corp",
  "home",
  "lan",
  "home.arpa",
  "test",
  "invalid",
];

const ALLOWED_BY = "ALLOW_LOCAL_TARGETS=true allows it";
const OURSELVES = "it is this server's own address";
const NO_HOST = "it names no host";

/** @returns the reason for operators why nothing is sent to this address, or null if it is allowed */
export function refuseTarget(url: string, rules: TargetRules): string | null {
  if (!URL.canParse(url)) return "it is not an address such as https://example.com/hook";
  const target = new URL(url);
  if (target.protocol !== "https:" && target.protocol !== "http:") return "it must begin with https://";
  if (target.protocol === "http:" && !rules.allowLocalTargets) {
    return `it must begin with https:// (${ALLOWED_BY})`;
  }
  if (target.username !== "" || target.password !== "") {
    return "it holds a user name or a password; send them in a header";
  }
  if (!rules.allowLocalTargets) return refuseName(target.hostname, rules);
  if (plainName(target.hostname) === "") return NO_HOST;
  const own = ownUrl(rules);
  return own !== null && endpointOf(target) === endpointOf(own) ? OURSELVES : null;
}

/**
 * The same for a host without a URL, such as a mail server. If local targets are allowed, every host is, this server
 * too, because the mail server has another port.
 * @returns the reason for operators why nothing is sent there, or null if it is allowed
 */
export function refuseHost(hostname: string, rules: TargetRules): string | null {
  // Only an IPv6 address has colons; a URL needs it in brackets.
  const isBracketed = hostname.startsWith("[") && hostname.endsWith("]");
  const url = `https://${hostname.includes(":") && !isBracketed ? `[${hostname}]` : hostname}/`;
  if (/[\s/?#@%\\]/.test(hostname) || !URL.canParse(url)) return NO_HOST;
  // `URL` writes names and addresses in their canonical form.
  const name = new URL(url).hostname;
  if (!rules.allowLocalTargets) return refuseName(name, rules);
  return plainName(name) === "" ? NO_HOST : null;
}

/** @param hostname as `URL` writes it */
function refuseName(hostname: string, rules: TargetRules): string | null {
  const name = plainName(hostname);
  if (name === "") return NO_HOST;
  if (isIpAddress(name)) return `its host is an IP address, not a name (${ALLOWED_BY})`;
  if (!name.includes(".") || LOCAL_ENDINGS.some((ending) => name === ending || name.endsWith(`.${ending}`))) {
    return `its host is a local name (${ALLOWED_BY})`;
  }
  const own = ownUrl(rules);
  return own !== null && name === plainName(own.hostname) ? OURSELVES : null;
}

function ownUrl({ publicUrl }: TargetRules): URL | null {
  return publicUrl !== null && URL.canParse(publicUrl) ? new URL(publicUrl) : null;
}

/** The name without the dots of the DNS root at its end. */
function plainName(hostname: string): string {
  return hostname.toLowerCase().replace(/\.+$/, "");
}

/** `URL` has already written every form of an IPv4 address as four decimal numbers. */
function isIpAddress(name: string): boolean {
  return name.startsWith("[") || /^\d{1,3}(?:\.\d{1,3}){3}$/.test(name);
}

/** Host and port; all names of this machine count as one. */
function endpointOf(url: URL): string {
  const name = plainName(url.hostname);
  const isThisMachine =
    name === "localhost" ||
    name.endsWith(".localhost") ||
    name === "[::1]" ||
    name === "[::]" ||
    name === "0.0.0.0" ||
    /^127\.\d+\.\d+\.\d+$/.test(name) ||
    // IPv4 addresses 127.x.x.x in IPv6 notation.
    /^\[::ffff:7f[\da-f]{2}:/.test(name);
  return `${isThisMachine ? "localhost" : name}:${url.port || (url.protocol === "http:" ? "80" : "443")}`;
}
