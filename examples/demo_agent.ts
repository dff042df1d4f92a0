/**
 * A whole agent in one file, over plain HTTP and without any dependency: it registers, shows that it
 * lives, waits for tasks, works on them and reports. Copy it and put your own work into `work`.
 *
 *   ADMIN_TOKEN=… node examples/demo_agent.ts agent1 task_type1,task_type2
 *
 * What it keeps to: it works only after `start` was answered, it stops when an attempt is no longer its
 * own, and when its incarnation is over it registers again and says what it still works on.
 */
import { availableParallelism, freemem, loadavg, totalmem } from "node:os";
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

/** A lost answer is asked for again after this. */
const RETRY_MS = 500;
/** The longest long poll; the server ends it earlier if our heartbeat interval is shorter. */
const POLL_SECONDS = 20;
const LIST_PAUSE_MS = 50;
const ANSWER_LIMIT_MS = (POLL_SECONDS + 5) * 1000;
const STEPS = 10;
const LOCK_TTL_SECONDS = 5;

type Task = { id: string; type: string; attempt: number; data: unknown };
type Session = { token: string; incarnation: number; heartbeat_interval_seconds: number };
type Answer = { status: number; body: Record<string, unknown> };

/** Tasks under way, by id; each can be stopped. */
const underWay = new Map<string, { attempt: number; stop: AbortController }>();
let session = await register();
let renewing: Promise<Session> | null = null;
let isEnding = false;

for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, leave);
await Promise.all([beat(), takeTasks(), LOCK === undefined ? null : keepLock(LOCK)]);

/** What this agent is for. Replace it; give up when `signal` says so, for then the task is another's. */
async function work(task: Task, tell: (progress: number) => Promise<void>, signal: AbortSignal) {
  for (let step = 1; step <= STEPS; step++) {
    await delay((Number(WORK_SECONDS) * 1000) / STEPS, undefined, { signal });
    if (step % 2 === 0 && step < STEPS) await tell(step / STEPS);
  }
  return { done_by: agentId, input: task.data };
}

/** A new incarnation, with a token of its own. What we say we still work on stays ours. */
async function register(): Promise<Session> {
  const running = [...underWay].map(([task_id, { attempt }]) => ({ task_id, attempt }));
  const { status, body } = await ask("PUT", self, ADMIN_TOKEN, {
    type: AGENT_TYPE,
    capabilities: capabilities?.split(","),
    ...(ENDPOINT === undefined ? {} : { endpoint: ENDPOINT }),
    max_concurrent_tasks: Number(MAX_CONCURRENT_TASKS),
    heartbeat_interval_seconds: Number(HEARTBEAT_INTERVAL_SECONDS),
    heartbeat_timeout_seconds: Number(HEARTBEAT_TIMEOUT_SECONDS),
    running_tasks: running,
  });
  if (status >= 400) {
    console.error(`${agentId}: could not register: ${status} ${body.detail}`);
    process.exit(1);
  }
  say(`registered, incarnation ${body.incarnation}`);
  return body as Session;
}

/** The timer that keeps us alive in the coordinator's eyes. */
async function beat(): Promise<void> {
  while (!isEnding) {
    const cpu = Math.min(1, (loadavg()[0] ?? 0) / availableParallelism());
    await asMyself("POST", `${self}/heartbeat`, { load: { cpu, memory: 1 - freemem() / totalmem() } });
    await delay(session.heartbeat_interval_seconds * 1000);
  }
}

/** Waits for tasks, and starts whatever is given: it is never more than `max_concurrent_tasks`. */
async function takeTasks(): Promise<void> {
  while (!isEnding) {
    const { status, body } = await asMyself("GET", `${self}/tasks?wait_seconds=${POLL_SECONDS}`);
    if (status !== 200) {
      say(`asked for tasks, and was answered ${status} ${body.code}`);
      await delay(RETRY_MS);
      continue;
    }
    for (const task of body.items as Task[]) {
      if (underWay.get(task.id)?.attempt !== task.attempt) void carryOut(task);
    }
    // A list that still shows what is just being started would come back at once, again and again.
    await delay(LIST_PAUSE_MS);
  }
}

async function carryOut(task: Task): Promise<void> {
  const mine = { attempt: task.attempt, stop: new AbortController() };
  underWay.get(task.id)?.stop.abort();
  underWay.set(task.id, mine);
  try {
    // `start` is the permission to work: whoever has none has lost the task in the meantime.
    if (!(await report(task, "start", {}))) return;
    say(`works on ${task.id}, attempt ${task.attempt}`);
    const tell = async (progress: number) => {
      if (!(await report(task, "progress", { progress }))) mine.stop.abort();
    };
    const result = await work(task, tell, mine.stop.signal);
    if (await report(task, "complete", { result })) say(`finished ${task.id}`);
  } catch (error) {
    if (mine.stop.signal.aborted) say(`gave up ${task.id}, attempt ${task.attempt} is not current any more`);
    else await report(task, "fail", { error: { message: String(error) } });
  } finally {
    if (underWay.get(task.id) === mine) underWay.delete(task.id);
  }
}

/** @returns whether it was accepted; every report may be repeated, so a lost answer does no harm */
async function report(task: Task, what: string, fields: object): Promise<boolean> {
  const body = { agent_id: agentId, attempt: task.attempt, ...fields };
  const { status } = await asMyself("POST", `${cluster}/tasks/${task.id}/${what}`, body);
  return status === 200;
}

/** Holds a lock as long as it can. Asking for a lock that is ours renews it; its token tells the grants apart. */
async function keepLock(resource: string): Promise<void> {
  let known = "";
  while (!isEnding) {
    const { status, body } = await asMyself(
      "POST",
      `${group}/locks/${encodeURIComponent(resource)}/acquire`,
      {
        agent_id: agentId,
        ttl_seconds: LOCK_TTL_SECONDS,
      },
    );
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

/** Leaves in good order: what we held moves on at once, and no failure is recorded. */
function leave(): void {
  if (isEnding) return;
  isEnding = true;
  for (const { stop } of underWay.values()) stop.abort();
  const left = ask("DELETE", self, session.token).then(() => say("left"));
  // Whoever is told to end does not wait for long.
  void Promise.race([left, delay(2000)]).finally(() => process.exit(0));
}

/** Asks with our own token, and with that of the next incarnation if this one is over (410). */
async function asMyself(method: string, url: string, body?: object): Promise<Answer> {
  const used = session;
  const answer = await ask(method, url, used.token, body);
  if (answer.status !== 410 || isEnding) return answer;
  say("this incarnation is over, registering again");
  // Several calls may learn it at once; one registration is enough.
  if (session === used) {
    renewing ??= register();
    session = await renewing;
    renewing = null;
  }
  return ask(method, url, session.token, body);
}

/** Asks until there is an answer: all that we send may be repeated. */
async function ask(method: string, url: string, token: string | undefined, body?: object): Promise<Answer> {
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
