/**
 * A small agent as a separate program, so that tests can kill, stop and replace it. The agent registers, sends
 * heartbeats, retries when a call fails, registers again when its session has expired, and writes its reports to
 * stdout,
 * one JSON line each. SIGUSR2 makes it finish its task at once. The program ends when its stdin ends, so that it
 * never outlives its test.
 *
 *   node agent-program.ts '{ "clusterUrl": "http://…/v1/clusters/c", "id": "a", … }'
 */
import { setTimeout as delay } from "node:timers/promises";

export type AgentSettings = {
  clusterUrl: string;
  group: string;
  id: string;
  /** The token to register with; later calls use the token of the incarnation. */
  joinToken: string;
  capabilities: readonly string[];
  maxConcurrentTasks: number;
  heartbeatIntervalMs: number;
  heartbeatTimeoutMs: number;
  /** Starts its assigned tasks, and completes them with its pid on SIGUSR2. */
  takesUpTasks: boolean;
  /** A lock to acquire after registration and to release on SIGUSR2. */
  lock: string | null;
  /** What the agent does when its session has expired: register again or stop calling. */
  comesBack: boolean;
};

export type AgentReport =
  | { type: "registered"; incarnation: number }
  | { type: "beat"; sentAtMs: number }
  | { type: "unreachable"; sentAtMs: number }
  | { type: "locked"; fencingToken: number }
  | { type: "started"; taskId: string; attempt: number }
  /** The refusal of a heartbeat, or the answer to an attempt to finish. */
  | { type: "answered"; call: "heartbeat" | "complete" | "release"; status: number; code: string | null };

type Session = { token: string; incarnation: number };
type Answer = { status: number; body: Record<string, unknown> };
type HeldTask = { id: string; attempt: number };

/** Pause before another try after a failed call. */
const RETRY_MS = 100;

if (import.meta.main) await run(JSON.parse(process.argv[2] ?? "") as AgentSettings);

async function run(settings: AgentSettings): Promise<void> {
  process.stdin.resume().once("close", () => process.exit());
  const agentPath = `/groups/${settings.group}/agents/${settings.id}`;
  const lockPath = `/groups/${settings.group}/locks/${encodeURIComponent(settings.lock ?? "")}`;
  const atWork = new Map<string, HeldTask>();
  let session = await register();
  let fencingToken = 0;

  if (settings.lock !== null) {
    const { body } = await insist("POST", `${lockPath}/acquire`, { agent_id: settings.id });
    fencingToken = (body.lock as { fencing_token: number }).fencing_token;
    say({ type: "locked", fencingToken });
  }
  process.on("SIGUSR2", () => void finish());
  await beatForEver();

  async function register(): Promise<Session> {
    const body = {
      type: "test-agent",
      capabilities: settings.capabilities,
      max_concurrent_tasks: settings.maxConcurrentTasks,
      heartbeat_interval_seconds: settings.heartbeatIntervalMs / 1000,
      heartbeat_timeout_seconds: settings.heartbeatTimeoutMs / 1000,
    };
    const answer = await insist("PUT", agentPath, body, settings.joinToken);
    const registered = answer.body as Session;
    say({ type: "registered", incarnation: registered.incarnation });
    return registered;
  }

  async function beatForEver(): Promise<void> {
    for (;;) {
      const sentAtMs = Date.now();
      const answer = await call("POST", `${agentPath}/heartbeat`, {}, session.token);
      if (answer === null) {
        say({ type: "unreachable", sentAtMs });
        await delay(RETRY_MS);
        continue;
      }
      if (answer.status === 200) {
        say({ type: "beat", sentAtMs });
        if (settings.takesUpTasks && answer.body.assigned_tasks !== 0) await takeUpTasks();
      } else {
        say({ type: "answered", call: "heartbeat", ...outcomeOf(answer) });
        if (!settings.comesBack) return;
        session = await register();
      }
      await delay(Math.max(0, sentAtMs + settings.heartbeatIntervalMs - Date.now()));
    }
  }

  async function takeUpTasks(): Promise<void> {
    const held = await call("GET", `${agentPath}/tasks`, undefined, session.token);
    for (const { id, attempt } of (held?.body.items ?? []) as HeldTask[]) {
      const started = await call(
        "POST",
        `/tasks/${id}/start`,
        { agent_id: settings.id, attempt },
        session.token,
      );
      if (started?.status !== 200) continue;
      atWork.set(id, { id, attempt });
      say({ type: "started", taskId: id, attempt });
    }
  }

  /** Uses the attempts and the token that the agent once got, even if they are stale by now. */
  async function finish(): Promise<void> {
    const result = { by: process.pid };
    for (const { id, attempt } of atWork.values()) {
      const answer = await insist("POST", `/tasks/${id}/complete`, {
        agent_id: settings.id,
        attempt,
        result,
      });
      say({ type: "answered", call: "complete", ...outcomeOf(answer) });
    }
    atWork.clear();
    if (settings.lock === null) return;
    const answer = await insist("POST", `${lockPath}/release`, { fencing_token: fencingToken });
    say({ type: "answered", call: "release", ...outcomeOf(answer) });
  }

  /** Retries until a call is answered. */
  async function insist(method: string, path: string, body: unknown, token?: string): Promise<Answer> {
    for (;;) {
      const answer = await call(method, path, body, token ?? session.token);
      if (answer !== null) return answer;
      await delay(RETRY_MS);
    }
  }

  /** @returns null if there was no usable answer */
  async function call(method: string, path: string, body: unknown, token: string): Promise<Answer | null> {
    try {
      const response = await fetch(settings.clusterUrl + path, {
        method,
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        // An agent that was silent for this long has failed anyway.
        signal: AbortSignal.timeout(settings.heartbeatTimeoutMs),
      });
      const answer = { status: response.status, body: (await response.json()) as Answer["body"] };
      return answer.status >= 500 ? null : answer;
    } catch {
      return null;
    }
  }
}

function outcomeOf({ status, body }: Answer): { status: number; code: string | null } {
  return { status, code: typeof body.code === "string" ? body.code : null };
}

function say(report: AgentReport): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
