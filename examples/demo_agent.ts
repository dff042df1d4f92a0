/**
 * A complete agent in one file, over plain HTTP and without dependencies: it registers, sends heartbeats, waits for
 * tasks, works on them and reports. Copy it, and put your own work into `work`.
 *
 *   ADMIN_TOKEN=… node examples/demo_agent.ts agent1 task_type1,task_type2
 *
 * Its rules: it works only after the answer to `start`. It stops when an attempt is no longer current. When its
 * incarnation has ended, it registers again and lists the tasks that it is still running. If another process has
 * registered its id, or it was unregistered by others, it ends with an error.
 */
import { randomUUID } from "node:crypto";
import { availableParallelism, freemem, hostname, loadavg, totalmem } from "node:os";
import { setTimeout as delay } from "node:timers/promises";

const [agentId, capabilities] = process.argv.slice(2);
const {
  URL: origin = "http://127.0.0.1:8787",
  ADMIN_TOKEN,
  CLUSTER = "default",
  GROUP = "default",
  AGENT_TYPE = "worker",
  ENDPOINT,
  HEARTBEAT_INTERVAL_SECONDS = "2",
  HEARTBEAT_TIMEOUT_SECONDS = "6",
  MAX_CONCURRENT_TASKS = "4",
  WORK_SECONDS = "3",
  LOCK,
} = process.env;

if (agentId === undefined || capabilities === undefined || ADMIN_TOKEN === undefined) {
  console.error("usage: ADMIN_TOKEN=… node examples/demo_agent.ts AGENT_ID CAPABILITY[,CAPABILITY…]");
  console.error("also: URL CLUSTER GROUP AGENT_TYPE ENDPOINT HEARTBEAT_INTERVAL_SECONDS");
  console.error("      HEARTBEAT_TIMEOUT_SECONDS MAX_CONCURRENT_TASKS WORK_SECONDS LOCK");
  process.exit(1);
}

const cluster = `${origin}/v1/clusters/${CLUSTER}`;
const group = `${cluster}/groups/${GROUP}`;
const self = `${group}/agents/${agentId}`;

/** Pause before a call is repeated. */
const RETRY_MS = 500;
/** Longest long poll. The server ends it at the heartbeat interval, if that is shorter. */
const POLL_SECONDS = 20;
const LIST_PAUSE_MS = 50;
const ANSWER_LIMIT_MS = (POLL_SECONDS + 5) * 1000;
const STEPS = 10;
/** Names this process, so that the coordinator can tell it from another process with the same id. */
const INSTANCE = `${hostname()}/${process.pid}/${randomUUID()}`;
/** After these reasons of a 410 the agent does not register again. */
const FINAL_REASONS = ["superseded", "unregistered", "revoked"];
const LOCK_TTL_SECONDS = 5;

type Task = { id: string; type: string; attempt: number; data: unknown };
type Session = { token: string; incarnation: number; heartbeat_interval_seconds: number };
type Answer = { status: number; body: Record<string, unknown> };

/** Running tasks by id; each can be stopped. */
const running = new Map<string, { attempt: number; stop: AbortController }>();
let session = await register();
let renewing: Promise<Session> | null = null;
let isEnding = false;

for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, leave);
await Promise.all([beat(), takeTasks(), LOCK === undefined ? null : keepLock(LOCK)]);

/** The work of this agent: replace it. Stop when `signal` is aborted, because then another agent may have the task. */
async function work(task: Task, progress: (fraction: number) => Promise<void>, signal: AbortSignal) {
  for (let step = 1; step <= STEPS; step++) {
    await delay((Number(WORK_SECONDS) * 1000) / STEPS, undefined, { signal });
    if (step % 2 === 0 && step < STEPS) await progress(step / STEPS);
  }
  return { done_by: agentId, input: task.data };
}

/** Starts a new incarnation with its own token. The tasks in `running_tasks` stay with this agent. */
async function register(): Promise<Session> {
  const claims = [...running].map(([task_id, { attempt }]) => ({ task_id, attempt }));
  const { status, body } = await send({
    method: "PUT",
    url: self,
    token: ADMIN_TOKEN,
    body: {
      type: AGENT_TYPE,
      capabilities: capabilities?.split(","),
      ...(ENDPOINT === undefined ? {} : { endpoint: ENDPOINT }),
      max_concurrent_tasks: Number(MAX_CONCURRENT_TASKS),
      heartbeat_interval_seconds: Number(HEARTBEAT_INTERVAL_SECONDS),
      heartbeat_timeout_seconds: Number(HEARTBEAT_TIMEOUT_SECONDS),
      running_tasks: claims,
      instance: INSTANCE,
    },
  });
  if (status >= 400) {
    console.error(`${agentId}: could not register: ${status} ${body.detail}`);
    process.exit(1);
  }
  say(`registered, incarnation ${body.incarnation}`);
  return body as Session;
}

/** Sends the heartbeats. */
async function beat(): Promise<void> {
  while (!isEnding) {
    const cpu = Math.min(1, (loadavg()[0] ?? 0) / availableParallelism());
    await asAgent("POST", `${self}/heartbeat`, { load: { cpu, memory: 1 - freemem() / totalmem() } });
    await delay(session.heartbeat_interval_seconds * 1000);
  }
}

/** Waits for tasks and starts them. The coordinator assigns at most `max_concurrent_tasks` at a time. */
async function takeTasks(): Promise<void> {
  while (!isEnding) {
    const { status, body } = await asAgent("GET", `${self}/tasks?wait_seconds=${POLL_SECONDS}`);
    // At its end the agent has unregistered, and the poll is refused.
    if (isEnding) return;
    if (status !== 200) {
      say(`could not read the tasks: ${status} ${body.code}`);
      await delay(RETRY_MS);
      continue;
    }
    for (const task of body.items as Task[]) {
      if (running.get(task.id)?.attempt !== task.attempt) void run(task);
    }
    // Without a pause the list would return at once, since it still has the tasks that are being started.
    await delay(LIST_PAUSE_MS);
  }
}

async function run(task: Task): Promise<void> {
  const own = { attempt: task.attempt, stop: new AbortController() };
  running.get(task.id)?.stop.abort();
  running.set(task.id, own);
  try {
    // The answer to `start` is the permission to work. If it is refused, the task is no longer with this agent.
    if (!(await report(task, "start", {}))) return;
    say(`works on ${task.id}, attempt ${task.attempt}`);
    const progress = async (fraction: number) => {
      if (!(await report(task, "progress", { progress: fraction }))) own.stop.abort();
    };
    const result = await work(task, progress, own.stop.signal);
    if (await report(task, "complete", { result })) say(`finished ${task.id}`);
  } catch (error) {
    if (own.stop.signal.aborted) say(`gave up ${task.id}: attempt ${task.attempt} is no longer current`);
    else await report(task, "fail", { error: { message: String(error) } });
  } finally {
    if (running.get(task.id) === own) running.delete(task.id);
  }
}

/** @returns whether the report was accepted. Every report may be repeated, so a lost answer does no harm. */
async function report(task: Task, what: string, fields: object): Promise<boolean> {
  const body = { agent_id: agentId, attempt: task.attempt, ...fields };
  const { status } = await asAgent("POST", `${cluster}/tasks/${task.id}/${what}`, body);
  return status === 200;
}

/** Holds a lock as long as possible: acquiring a lock that this agent holds renews it. */
async function keepLock(resource: string): Promise<void> {
  let known = "";
  while (!isEnding) {
    const { status, body } = await asAgent("POST", `${group}/locks/${encodeURIComponent(resource)}/acquire`, {
      agent_id: agentId,
      ttl_seconds: LOCK_TTL_SECONDS,
    });
    const lock = body.lock as { fencing_token: number } | undefined;
    const news =
      status === 200
        ? `holds ${resource}, fencing token ${lock?.fencing_token}`
        : `waits for ${resource}, held by ${body.holder}`;
    if (news !== known) say(news);
    known = news;
    await delay(RETRY_MS);
  }
}

/** Unregisters: the tasks of this agent are reassigned at once, and no failure is recorded. */
function leave(): void {
  if (isEnding) return;
  isEnding = true;
  for (const { stop } of running.values()) stop.abort();
  const left = send({ method: "DELETE", url: self, token: session.token }).then(() => say("unregistered"));
  // A process that gets a signal must end soon.
  void Promise.race([left, delay(2000)]).finally(() => process.exit(0));
}

/** Calls with the token of this incarnation. If the incarnation has ended (410), registers and calls again. */
async function asAgent(method: string, url: string, body?: object): Promise<Answer> {
  const used = session;
  const answer = await send({ method, url, token: used.token, body });
  if (answer.status !== 410 || isEnding) return answer;
  const { reason, superseded_by: other } = answer.body;
  // If the answer to a registration was lost, the other process is this one.
  if (FINAL_REASONS.includes(String(reason)) && other !== INSTANCE) {
    // A last heartbeat shows the coordinator that both processes live.
    await send({ method: "POST", url: `${self}/heartbeat`, token: used.token, body: {} });
    const why = other ? `another process, ${other}, has registered this id` : "see docs/agents.md";
    console.error(`${agentId}: ended, ${reason}: ${why}`);
    process.exit(1);
  }
  say("this incarnation has ended, registering again");
  // Several calls may be refused at the same time; one registration is enough.
  if (session === used) {
    renewing ??= register();
    session = await renewing;
    renewing = null;
  }
  return send({ method, url, token: session.token, body });
}

type Call = { method: string; url: string; token: string | undefined; body?: object | undefined };

/** Repeats a call until it is answered: every call of this agent may be repeated. */
async function send({ method, url, token, body }: Call): Promise<Answer> {
  for (;;) {
    try {
      const response = await fetch(url, {
        method,
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
        signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const answer = { status: response.status, body: text === "" ? {} : JSON.parse(text) };
      if (response.status < 500 && response.status !== 429) return answer;
      say(`${method} was answered ${response.status}, trying again`);
    } catch (error) {
      say(`${method} was not answered (${error instanceof Error ? error.message : error}), trying again`);
    }
    await delay(RETRY_MS);
  }
}

function say(what: string): void {
  console.log(`${agentId}: ${what}`);
}
