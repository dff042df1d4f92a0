/**
 * Where we may send what we have to tell. An address of the configuration must not make us
 * reach into the network we run in, or call ourselves. Pure: only the text is judged; a public
 * name that resolves to a private address is the platform's to refuse
 * (`global_fetch_strictly_public`). A reason never repeats the address, which may be a secret.
 */

export type TargetRules = {
  /** http, IP addresses and local names are fine (`ALLOW_LOCAL_TARGETS`). */
  readonly allowLocalTargets: boolean;
  /** Our own address, or null if it is not known. */
  readonly publicUrl: string | null;
};

/**
 * Ends of names that no public server has: RFC 6761 and 6762, RFC 8375, ICANN's `internal`, and
 * what routers and companies use unasked.
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

/** @returns why nothing is sent to this address, for operators; null if it is fine */
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
 * The same for a bare host, such as a mail server's. Where local targets are allowed any host is
 * fine, our own too: it is another port that is meant.
 * @returns why nothing is sent there, for operators; null if it is fine
 */
export function refuseHost(hostname: string, rules: TargetRules): string | null {
  // Only an IPv6 address has colons; an address of the web writes it in brackets.
  const isBracketed = hostname.startsWith("[") && hostname.endsWith("]");
  const url = `https://${hostname.includes(":") && !isBracketed ? `[${hostname}]` : hostname}/`;
  if (/[\s/?#@%\\]/.test(hostname) || !URL.canParse(url)) return NO_HOST;
  // `URL` writes names and addresses in their one usual form, whatever was typed.
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

/** The name without the dots that mean the root of all names. */
function plainName(hostname: string): string {
  return hostname.toLowerCase().replace(/\.+$/, "");
}

/** `URL` has made every form of an IPv4 address into four decimal numbers by now. */
function isIpAddress(name: string): boolean {
  return name.startsWith("[") || /^\d{1,3}(?:\.\d{1,3}){3}$/.test(name);
}

/** Host and port; all names of this very machine are one. */
function endpointOf(url: URL): string {
  const name = plainName(url.hostname);
  const isThisMachine =
    name === "localhost" ||
    name.endsWith(".localhost") ||
    name === "[::1]" ||
    name === "[::]" ||
    name === "0.0.0.0" ||
    /^127\.\d+\.\d+\.\d+$/.test(name) ||
    // IPv4 addresses 127.x.x.x as IPv6 writes them.
    /^\[::ffff:7f[\da-f]{2}:/.test(name);
  return `${isThisMachine ? "localhost" : name}:${url.port || (url.protocol === "http:" ? "80" : "443")}`;
}
