/**
 * Prepares the start of a server: reads and checks the settings, the configuration and the certificates, locks the data
 * folder, and chooses the port. The lock is released if a later check fails.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseEnv } from "node:util";
import { origin, reachable, resolveHost } from "./address.ts";
import type { Command } from "./command-line.ts";
import { readConfigurationFile } from "./configuration-file.ts";
import { type FolderLock, takeFolder } from "./data-folder.ts";
import { readExtraCertificates } from "./extra-certificates.ts";
import { freePort } from "./listening-port.ts";
import { localSecrets } from "./local-secrets.ts";
import { done, type Outcome, refuse, systemCode } from "./outcome.ts";
import { mergeVariables, readSettings, type Settings, weakSecretWarnings } from "./settings.ts";
import { workerVariables } from "./worker-variables.ts";

export type Plan = {
  /** The project's folder. */
  root: string;
  settings: Settings;
  /** Where the command keeps its state, under a lock of its own. */
  folder: string;
  configurationFile: string;
  trustedCertificates: string[];
  /** The address of `settings.host`. */
  address: string;
  /** The port to listen on, chosen if the setting is 0. */
  port: number;
  /** Text bindings of the Worker, secrets among them. */
  variables: Record<string, string>;
  /** The file that has the admin token; null if the settings gave it. */
  adminTokenFile: string | null;
};

export async function preparePlan(command: Command): Promise<Outcome<{ plan: Plan; lock: FolderLock }>> {
  const root = dirname(dirname(import.meta.dirname));
  const devVars = readDevVars(join(root, ".dev.vars"));
  const variables = mergeVariables(process.env, devVars);
  const read = readSettings(variables, { root, working: process.cwd() });
  if (!read.ok) return read;
  const settings = read.value;
  const configuration = readConfigurationFile(root, (name) => (variables[name] ?? "") !== "");
  if (!configuration.ok) return configuration;
  for (const warning of [...weakSecretWarnings(settings), ...configuration.value.warnings])
    console.error(`warning: ${warning}`);
  const certificates = readExtraCertificates(settings.extraCertificatesFile);
  if (!certificates.ok) return certificates;
  const address = await resolveHost(settings.host);
  if (address === null)
    return refuse(
      "badSettings",
      `HOST: ${settings.host} has no address; use an IP address or a host name of this machine`,
    );

  // `npm run dev` is tried while `npm start` runs; both use the same secrets.
  const folder = command === "dev" ? join(settings.dataDir, "dev") : settings.dataDir;
  const lock = await takeFolder(folder, {
    command,
    host: settings.host,
    port: settings.port,
    started_at: new Date().toISOString(),
  });
  if (!lock.ok) return lock;
  // The folder comes first: the lock says more about an orphan that has both the folder and the port.
  const port = await freePort(address, settings.port);
  const secrets = port.ok ? localSecrets(settings.dataDir, settings) : port;
  if (!port.ok) {
    lock.value.release();
    return port;
  }
  if (!secrets.ok) {
    lock.value.release();
    return secrets;
  }
  lock.value.update({ port: port.value });

  const plan: Plan = {
    root,
    settings,
    folder,
    configurationFile: configuration.value.path,
    trustedCertificates: certificates.value,
    address,
    port: port.value,
    variables: workerVariables({
      settings,
      secrets: secrets.value,
      origin: origin(reachable(settings.host), port.value),
      bootId: randomUUID(),
      devVarNames: Object.keys(devVars),
      secretNames: configuration.value.secretNames,
      variables,
    }),
    adminTokenFile: secrets.value.adminTokenFile,
  };
  return done({ plan, lock: lock.value });
}

/** `.dev.vars` is in dotenv format; wrangler reads the same file. */
function readDevVars(path: string): Record<string, string | undefined> {
  try {
    return parseEnv(readFileSync(path, "utf8"));
  } catch (error) {
    if (systemCode(error) === "ENOENT") return {};
    throw error;
  }
}
