/** The agent of each client, as a process: TypeScript over a socket and over HTTP, Python, and bash. */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { BASH, type Language, missingFor, PYTHON } from "./example-agents.ts";
import { temporaryFolder } from "./groups.ts";
import { ProcessGroup } from "./process-group.ts";
import { commandEnvironment, PROJECT_ROOT, type Server } from "./server.ts";

export type AgentKind = {
  readonly name: string;
  readonly command: string;
  readonly words: readonly string[];
  readonly env: Record<string, string>;
  /** Programs that the agent needs and this machine does not have. */
  readonly missing: readonly string[];
};

const inTypeScript = (transport: string): AgentKind => ({
  name: `TypeScript over ${transport}`,
  command: process.execPath,
  words: [join(PROJECT_ROOT, "tests", "support", "client-program.ts")],
  env: { TRANSPORT: transport },
  missing: [],
});

const inLanguage = (name: string, language: Language): AgentKind => ({
  name,
  command: language.interpreter,
  words: [join(PROJECT_ROOT, "examples", language.file)],
  env: { PYTHONDONTWRITEBYTECODE: "1" },
  missing: missingFor(language),
});

export const EVERY_AGENT: readonly AgentKind[] = [
  inTypeScript("socket"),
  inTypeScript("http"),
  inLanguage("Python", PYTHON),
  inLanguage("bash", BASH),
];

export type AgentSettings = {
  server: Server;
  cluster: string;
  id: string;
  /** Seconds between two heartbeats, and without one until the agent is declared failed. */
  interval: number;
  timeout: number;
};

/** For the temporary files of agents; the caller removes it. */
export const agentsFolder = (): string => temporaryFolder("failover-agents-");

/** Starts the process; see `said` for when it is registered. */
export function startAgent(
  kind: AgentKind,
  { server, cluster, id, interval, timeout }: AgentSettings,
  folder: string,
): ProcessGroup {
  return new ProcessGroup(kind.command, kind.words, {
    env: commandEnvironment({
      ...kind.env,
      TMPDIR: mkdtempSync(join(folder, "agent-")),
      URL: server.url,
      TOKEN: "",
      ADMIN_TOKEN: server.adminToken,
      CLUSTER: cluster,
      AGENT_ID: id,
      HEARTBEAT_INTERVAL_SECONDS: String(interval),
      HEARTBEAT_TIMEOUT_SECONDS: String(timeout),
    }),
  });
}
