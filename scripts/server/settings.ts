/**
 * The environment, read into settings: what may be set, its default, and what a valid value is.
 * Pure, and no problem it reports repeats a value that could be a secret.
 */
import { isIP } from "node:net";
import { join, resolve } from "node:path";
import { done, type Outcome, refuse } from "./exit-codes.ts";

export type Settings = {
  /** A host name or IP address, IPv6 without brackets. */
  host: string;
  /** 0: any free port. */
  port: number;
  dataDir: string;
  /** Null: not given, so a local one is made. */
  adminToken: string | null;
  signingKey: string | null;
  allowLocalTargets: boolean;
  /** Null: not given, so the address that it listens on. */
  publicUrl: string | null;
  /** Empty: none. */
  corsOrigins: string[];
  /** A PEM file. */
  extraCertificatesFile: string | null;
  /** A bundle made earlier. */
  bundleDir: string | null;
};

/** Every setting, in the order of the help; `fallback` says in words what holds without it. */
export const SETTINGS = [
  { name: "PORT", fallback: "8787", meaning: "port to listen on; 0: any free one" },
  { name: "HOST", fallback: "127.0.0.1", meaning: "address to listen on, such as 0.0.0.0 or ::1" },
  { name: "DATA_DIR", fallback: ".data", meaning: "folder of the state; one server a folder" },
  { name: "ADMIN_TOKEN", fallback: "made, kept", meaning: "bearer token with every right" },
  { name: "SIGNING_KEY", fallback: "made, kept", meaning: "key that signs all other tokens" },
  {
    name: "ALLOW_LOCAL_TARGETS",
    fallback: "false",
    meaning: "true: webhooks and mail may reach local hosts",
  },
  { name: "PUBLIC_URL", fallback: "HOST, PORT", meaning: "address that messages link to" },
  { name: "CORS_ORIGINS", fallback: "none", meaning: "origins of web pages that may call, or *" },
  { name: "NODE_EXTRA_CA_CERTS", fallback: "none", meaning: "PEM file of certificates to trust as well" },
  { name: "BUNDLE_DIR", fallback: "none", meaning: "serve this bundle instead of building (start only)" },
] as const;

const DEFAULT_PORT = 8787;
const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_DATA_DIR = ".data";
const MAX_PORT = 65_535;
/** What a header can carry and a person can paste; far below every limit of the platforms. */
const MAX_SECRET_CHARACTERS = 512;
/** 16 characters of this alphabet are 96 bits if they are random: too many to try out over HTTP. */
const SOUND_ADMIN_TOKEN_CHARACTERS = 16;
/** RFC 7518 asks for a key as long as the hash of HS256: 32 bytes. */
const SOUND_SIGNING_KEY_CHARACTERS = 32;

/** The variables both sources name, the first source before the second; an empty value counts as unset. */
export function mergeVariables(
  environment: Readonly<Record<string, string | undefined>>,
  devVars: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const merged: Record<string, string> = {};
  for (const source of [devVars, environment]) {
    for (const [name, value] of Object.entries(source)) {
      if (value !== undefined && value !== "") merged[name] = value;
    }
  }
  return merged;
}

/**
 * @param folders `root` is the project's, where the default data folder lies; relative paths that
 *   somebody gave count from `working`, where that person stands.
 */
export function readSettings(
  variables: Readonly<Record<string, string>>,
  folders: { root: string; working: string },
): Outcome<Settings> {
  const problems: string[] = [];
  const path = (name: string) => {
    const value = variables[name];
    return value === undefined ? null : resolve(folders.working, value);
  };

  const settings: Settings = {
    host: readHost(variables.HOST, problems),
    port: readPort(variables.PORT, problems),
    dataDir: path("DATA_DIR") ?? join(folders.root, DEFAULT_DATA_DIR),
    adminToken: readAdminToken(variables.ADMIN_TOKEN, problems),
    signingKey: readSigningKey(variables.SIGNING_KEY, problems),
    allowLocalTargets: readFlag("ALLOW_LOCAL_TARGETS", variables, problems),
    publicUrl: readAddress("PUBLIC_URL", variables, problems),
    corsOrigins: readOrigins("CORS_ORIGINS", variables, problems),
    extraCertificatesFile: path("NODE_EXTRA_CA_CERTS"),
    bundleDir: path("BUNDLE_DIR"),
  };
  return problems.length === 0 ? done(settings) : refuse("badSettings", ...problems);
}

function readPort(value: string | undefined, problems: string[]): number {
  if (value === undefined) return DEFAULT_PORT;
  if (/^\d{1,5}$/.test(value) && Number(value) <= MAX_PORT) return Number(value);
  problems.push(`PORT must be a number from 0 to ${MAX_PORT}, not ${JSON.stringify(value)}`);
  return DEFAULT_PORT;
}

function readHost(value: string | undefined, problems: string[]): string {
  if (value === undefined) return DEFAULT_HOST;
  const bare = /^\[(.*)\]$/.exec(value)?.[1] ?? value;
  // An IPv6 zone (`fe80::1%eth0`) cannot stand in a URL, so neither can it be printed as one.
  if (isIP(bare) !== 0 && !bare.includes("%")) return bare;
  // Four numbers with dots that are no address would otherwise pass for a name.
  if (value === bare && /^(?!.*\.\d+$)(?!\d+$)[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(value)) {
    return value;
  }
  problems.push(`HOST must be an IP address or a host name of this machine, not ${JSON.stringify(value)}`);
  return DEFAULT_HOST;
}

function readFlag(name: string, variables: Readonly<Record<string, string>>, problems: string[]): boolean {
  const value = variables[name];
  if (value !== undefined && value !== "true" && value !== "false") {
    problems.push(`${name} must be true or false, not ${JSON.stringify(value)}`);
  }
  return value === "true";
}

function readAddress(
  name: string,
  variables: Readonly<Record<string, string>>,
  problems: string[],
): string | null {
  const value = variables[name];
  if (value === undefined) return null;
  if (/^https?:\/\/[^\s]+$/.test(value) && URL.canParse(value)) return value.replace(/\/+$/, "");
  problems.push(`${name} must be an http or https address, such as https://failover.your-company.org`);
  return null;
}

function readOrigins(
  name: string,
  variables: Readonly<Record<string, string>>,
  problems: string[],
): string[] {
  const origins = (variables[name] ?? "").split(",").flatMap((origin) => origin.trim() || []);
  // What a browser sends: no path, no default port, no slash at the end.
  const wrong = origins.filter(
    (origin) => origin !== "*" && !(URL.canParse(origin) && new URL(origin).origin === origin),
  );
  if (wrong.length > 0) {
    const named = wrong.map((origin) => JSON.stringify(origin)).join(", ");
    problems.push(
      `${name} must be origins such as https://app.your-company.org, with commas, or *; not ${named}`,
    );
  }
  return origins;
}

function readAdminToken(value: string | undefined, problems: string[]): string | null {
  if (value === undefined) return null;
  if (!/^[A-Za-z0-9._-]*$/.test(value)) {
    problems.push(
      "ADMIN_TOKEN may hold only A-Z a-z 0-9 . _ - : choose another, or unset it to have one made",
    );
  }
  return withinLength("ADMIN_TOKEN", value, problems);
}

function readSigningKey(value: string | undefined, problems: string[]): string | null {
  if (value === undefined) return null;
  if (!/^[\x21-\x7e]*$/.test(value)) {
    problems.push(
      "SIGNING_KEY may hold only printable ASCII without spaces: choose another, or unset it to have one made",
    );
  }
  return withinLength("SIGNING_KEY", value, problems);
}

function withinLength(name: string, value: string, problems: string[]): string {
  if (value.length > MAX_SECRET_CHARACTERS) {
    problems.push(
      `${name} may have at most ${MAX_SECRET_CHARACTERS} characters, it has ${value.length}: choose another, or unset it to have one made`,
    );
  }
  return value;
}

/** Secrets that serve on a desk and nowhere else: whoever chose them is told. */
export function weakSecretWarnings({ adminToken, signingKey }: Settings): string[] {
  const warn = (name: string, value: string | null, soundCharacters: number) =>
    value === null || value.length >= soundCharacters
      ? []
      : [`${name} has ${value.length} characters: easy to guess; use ${soundCharacters} or more, at random`];
  return [
    ...warn("ADMIN_TOKEN", adminToken, SOUND_ADMIN_TOKEN_CHARACTERS),
    ...warn("SIGNING_KEY", signingKey, SOUND_SIGNING_KEY_CHARACTERS),
  ];
}
