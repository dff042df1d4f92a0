/** The settings of the server from environment variables, with defaults and checks. No error repeats a secret. */
import { isIP } from "node:net";
import { join, resolve } from "node:path";
import { MIN_ADMIN_TOKEN_CHARACTERS } from "../../src/domain/principal.ts";
import { done, type Outcome, refuse } from "./outcome.ts";

export type Settings = {
  /** A host name or IP address, IPv6 without brackets. */
  host: string;
  /** 0 means any free port. */
  port: number;
  dataDir: string;
  /** Null if it is not set; then a local one is generated. */
  adminToken: string | null;
  signingKey: string | null;
  allowLocalTargets: boolean;
  /** Null if it is not set; then it is the address of the server. */
  publicUrl: string | null;
  corsOrigins: string[];
  /** A PEM file. */
  extraCertificatesFile: string | null;
  /** The folder of a bundle that was built before. */
  bundleDir: string | null;
};

/** Every setting, in the order of the help. `fallback` describes the default. */
export const SETTINGS = [
  { name: "PORT", fallback: "8787", meaning: "port to listen on; 0 for any free port" },
  { name: "HOST", fallback: "127.0.0.1", meaning: "address to listen on, such as 0.0.0.0 or ::1" },
  { name: "DATA_DIR", fallback: ".data", meaning: "folder of the state, for one server" },
  { name: "ADMIN_TOKEN", fallback: "generated", meaning: "bearer token of the administrator" },
  { name: "SIGNING_KEY", fallback: "generated", meaning: "key that signs all other tokens" },
  {
    name: "ALLOW_LOCAL_TARGETS",
    fallback: "false",
    meaning: "true lets webhooks and mail reach local hosts",
  },
  {
    name: "PUBLIC_URL",
    fallback: "HOST, PORT",
    meaning: "address of this server, which no webhook may have",
  },
  { name: "CORS_ORIGINS", fallback: "none", meaning: "origins of web pages that may call, or *" },
  { name: "NODE_EXTRA_CA_CERTS", fallback: "none", meaning: "PEM file with more certificates to trust" },
  { name: "BUNDLE_DIR", fallback: "none", meaning: "bundle to serve instead of a build (start only)" },
] as const;

const DEFAULT_PORT = 8787;
const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_DATA_DIR = ".data";
const MAX_PORT = 65_535;
/** Short enough for a header and for pasting. */
const MAX_SECRET_CHARACTERS = 512;
/** RFC 7518 asks for a key as long as the hash of HS256: 32 bytes. */
const SAFE_SIGNING_KEY_CHARACTERS = 32;

/** The variables of both sources. The environment has priority, and an empty value counts as not set. */
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

/** @param folders `root` contains the default data folder; relative paths in settings are relative to `working` */
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
  // An IPv6 zone (`fe80::1%eth0`) is not possible in a URL, which the server prints.
  if (isIP(bare) !== 0 && !bare.includes("%")) return bare;
  // Four numbers with dots that are no address are no name either.
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
  // As a browser sends it: no path, no default port, no slash at the end.
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
      "ADMIN_TOKEN may contain only A-Z a-z 0-9 . _ -; choose another, or unset ADMIN_TOKEN to generate one",
    );
  } else if (value.length < MIN_ADMIN_TOKEN_CHARACTERS) {
    problems.push(
      `ADMIN_TOKEN has ${value.length} characters, at least ${MIN_ADMIN_TOKEN_CHARACTERS} are needed; choose a random one, or unset ADMIN_TOKEN to generate one`,
    );
  }
  return withinLength("ADMIN_TOKEN", value, problems);
}

function readSigningKey(value: string | undefined, problems: string[]): string | null {
  if (value === undefined) return null;
  if (!/^[\x21-\x7e]*$/.test(value)) {
    problems.push(
      "SIGNING_KEY may contain only printable ASCII without spaces; choose another, or unset SIGNING_KEY to generate one",
    );
  }
  return withinLength("SIGNING_KEY", value, problems);
}

function withinLength(name: string, value: string, problems: string[]): string {
  if (value.length > MAX_SECRET_CHARACTERS) {
    problems.push(
      `${name} has ${value.length} characters, at most ${MAX_SECRET_CHARACTERS} are allowed; choose another, or unset ${name} to generate one`,
    );
  }
  return value;
}

/** Warnings for secrets that are safe on a private machine only. */
export function weakSecretWarnings({ signingKey }: Settings): string[] {
  if (signingKey === null || signingKey.length >= SAFE_SIGNING_KEY_CHARACTERS) return [];
  return [
    `SIGNING_KEY has ${signingKey.length} characters and is easy to guess; use ${SAFE_SIGNING_KEY_CHARACTERS} or more random characters`,
  ];
}
