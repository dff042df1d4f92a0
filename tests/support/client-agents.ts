/**
 * Agents made with the client, any number in one process, that report every step. Each task takes the time that it
 * names,
 * and ignores its signal, so a task that two agents get is done twice. A program, see program.ts.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Agent, type AgentOptions } from "../../client/src/index.ts";
import { say, settingsOfThisProgram } from "./program.ts";

export type ClientAgentsSettings = Omit<AgentOptions, "id" | "fetch" | "load"> & { ids: string[] };

/** By the clock of the machine. */
export type ClientAgentsSaid = { agent: string; atMs: number } & (
  | { what: "connected"; transport: "socket" | "http" }
  | { what: "registered" | "disconnected" | "outOfTouch" | "error"; detail: string }
  | { what: "began" | "ended" | "reported" | "revoked" | "lateResult"; task: string; attempt: number }
);

/** What an agent did, without its id and the time. */
type Deed = ClientAgentsSaid extends infer Said
  ? Said extends unknown
    ? Omit<Said, "agent" | "atMs">
    : never
  : never;

export type Labour = { workMs: number };

/** Skipped when this module is imported for its types only. */
if (process.argv[1] === import.meta.filename) await run();

async function run(): Promise<void> {
  const { ids, ...options } = await settingsOfThisProgram<ClientAgentsSettings>();
  await Promise.all(ids.map((id) => start({ ...options, id, handleSignals: false })));
}

async function start(options: AgentOptions): Promise<void> {
  const tell = (deed: Deed) => say({ ...deed, agent: options.id, atMs: Date.now() });
  const agent = new Agent(options);
  agent.on<Labour>("work", async ({ id: task, data }, { attempt }) => {
    tell({ what: "began", task, attempt });
    await delay(data.workMs);
    tell({ what: "ended", task, attempt });
    return { by: options.id };
  });
  const taskOf = ({ task: { id, attempt } }: { task: { id: string; attempt: number } }) => ({
    task: id,
    attempt,
  });
  agent.listen("registered", ({ incarnation }) => tell({ what: "registered", detail: `${incarnation}` }));
  agent.listen("connected", ({ transport }) => tell({ what: "connected", transport }));
  agent.listen("disconnected", ({ reason }) => tell({ what: "disconnected", detail: reason }));
  agent.listen("outOfTouch", ({ seconds }) => tell({ what: "outOfTouch", detail: `${seconds} s` }));
  agent.listen("error", ({ error }) => tell({ what: "error", detail: String(error) }));
  agent.listen("reported", (event) => tell({ what: "reported", ...taskOf(event) }));
  agent.listen("revoked", (event) => tell({ what: "revoked", ...taskOf(event) }));
  agent.listen("lateResult", (event) => tell({ what: "lateResult", ...taskOf(event) }));
  await agent.start();
}
