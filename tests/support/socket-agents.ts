/**
 * Agents that have a socket and nothing else, any number in one process: they send `ping`, and start the tasks that
 * say so. A program, see program.ts.
 */
import { say, settingsOfThisProgram } from "./program.ts";

export type SocketAgentsSettings = {
  agents: { url: string; protocols: string[] }[];
  beatIntervalMs: number;
};
export type SocketAgentsSaid =
  /** All are connected, and each has had an answer to its first `ping`. */
  | { what: "connected" }
  /** The server has confirmed that the task runs. */
  | { what: "started"; taskId: string }
  | { what: "closed"; url: string; code: number };

/** The data of a task that is to be started at once; other tasks stay assigned. */
export type ToStart = { isToStart: boolean };

type Frame =
  | { type: "task_assigned"; task: { id: string; attempt: number; data: ToStart } }
  | { type: "ack"; request_id: string }
  | { type: "other" };

/** Connections opened at the same time: a server's queue of unaccepted connections is limited. */
const OPENED_AT_ONCE = 50;

/** Skipped when this module is imported for its types only. */
if (process.argv[1] === import.meta.filename) await run();

async function run(): Promise<void> {
  const { agents, beatIntervalMs } = await settingsOfThisProgram<SocketAgentsSettings>();
  for (let from = 0; from < agents.length; from += OPENED_AT_ONCE) {
    const some = agents.slice(from, from + OPENED_AT_ONCE);
    await Promise.all(
      some.map((agent, index) => connect(agent, beatIntervalMs, (from + index) / agents.length)),
    );
  }
  tell({ what: "connected" });
}

/** @param phase of its heartbeats in the interval, so that a fleet spreads them evenly */
async function connect(
  { url, protocols }: SocketAgentsSettings["agents"][number],
  beatIntervalMs: number,
  phase: number,
): Promise<void> {
  const socket = new WebSocket(url, protocols);
  const ponged = new Promise<void>((resolve) => {
    socket.onmessage = ({ data }) => {
      if (data === "pong") resolve();
      else hear(socket, JSON.parse(String(data)) as Frame);
    };
  });
  socket.onclose = ({ code }) => tell({ what: "closed", url, code });
  await new Promise<void>((resolve) => {
    socket.onopen = () => resolve();
  });
  const beat = () => socket.send("ping");
  beat();
  setTimeout(() => {
    beat();
    setInterval(beat, beatIntervalMs);
  }, phase * beatIntervalMs);
  await ponged;
}

function hear(socket: WebSocket, frame: Frame): void {
  if (frame.type === "ack") tell({ what: "started", taskId: frame.request_id });
  if (frame.type !== "task_assigned" || !frame.task.data.isToStart) return;
  const { id, attempt } = frame.task;
  socket.send(JSON.stringify({ type: "task_start", request_id: id, task_id: id, attempt }));
}

function tell(said: SocketAgentsSaid): void {
  say(said);
}
