/**
 * Secrets that the settings do not give: generated at the first start, stored in the data folder, and the same at each
 * later start. A secret from the settings is used and never stored.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { done, type Outcome, refuse, systemCode } from "./outcome.ts";
import { keepPrivate, writePrivateFile } from "./private-file.ts";

/** 256 bits, as many as the hash of HS256. */
const SECRET_BYTES = 32;

export type Secrets = {
  adminToken: string;
  signingKey: string;
  /** The file that the admin token is stored in; null if the settings gave it. */
  adminTokenFile: string | null;
};

type Kept = { admin_token?: string; signing_key?: string };

export function localSecrets(
  dataDir: string,
  given: { adminToken: string | null; signingKey: string | null },
): Outcome<Secrets> {
  const path = join(dataDir, "secrets.json");
  const read = readKept(path);
  if (!read.ok) return read;
  const kept = read.value;

  const adminToken = given.adminToken ?? kept.admin_token ?? newSecret();
  const signingKey = given.signingKey ?? kept.signing_key ?? newSecret();
  const keep: Kept = { ...kept };
  if (given.adminToken === null) keep.admin_token = adminToken;
  if (given.signingKey === null) keep.signing_key = signingKey;
  if (keep.admin_token !== kept.admin_token || keep.signing_key !== kept.signing_key) {
    writePrivateFile(path, `${JSON.stringify(keep, null, 2)}\n`);
  }
  return done({ adminToken, signingKey, adminTokenFile: given.adminToken === null ? path : null });
}

/** base64url keeps to the alphabet of tokens: A-Z a-z 0-9 _ - */
const newSecret = () => randomBytes(SECRET_BYTES).toString("base64url");

function readKept(path: string): Outcome<Kept> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return done({});
    throw error;
  }
  keepPrivate(path);
  const kept = parseKept(text);
  return kept === null
    ? refuse(
        "badSettings",
        `${path} does not contain valid secrets; restore it from a backup, or delete it, which makes all issued tokens invalid`,
      )
    : done(kept);
}

function parseKept(text: string): Kept | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const kept: Kept = {};
  for (const name of ["admin_token", "signing_key"] as const) {
    const secret: unknown = Reflect.get(value, name);
    if (secret === undefined) continue;
    if (typeof secret !== "string" || !/^[A-Za-z0-9._-]{16,}$/.test(secret)) return null;
    kept[name] = secret;
  }
  return kept;
}
