/**
 * `npm run demo`: real agents, real tasks and one `kill -9`. Prints the failover from the event stream and the records of
 * the coordinator, and exits with 0 only if it saw every step.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Api, NotSeen, reasonOf } from "./demo/api.ts";
import { EventFeed } from "./demo/event-feed.ts";
import { Processes } from "./demo/processes.ts";
import { Story } from "./demo/story.ts";
import { dim, green, red } from "./demo/terminal.ts";

const HELP = `Shows a failover: registers agents, submits tasks, kills one agent with kill -9, and prints what happens.

usage: npm run demo [-- --verbose]

  --verbose   also print the output of the agents and the server
  --help      print this help

Environment:
  URL          a running coordinator, such as http://127.0.0.1:8787;
               without URL the demo starts its own coordinator and ends it again
  ADMIN_TOKEN  the admin token of that coordinator; required with URL
  CLUSTER      the cluster to use (default: "default" without URL, a new cluster with URL)
  NO_COLOR     print no colours, as always if stdout is not a terminal

Exit codes: 0 every step was seen, 1 a step was not seen or a setting is wrong.`;

/** The demo usually takes 12 s. A step that is not seen by this time will not come. */
const DEMO_LIMIT_MS = 75_000;
const HEALTH_LIMIT_MS = 5000;
const PARENT_INTERVAL_MS = 250;
const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const words = process.argv.slice(2);
if (words.includes("--help") || words.includes("-h")) {
  console.log(HELP);
  process.exit(0);
}
const unknown = words.find((word) => word !== "--verbose");
if (unknown !== undefined) {
  console.error(`unknown argument ${JSON.stringify(unknown)}; see npm run demo -- --help`);
  process.exit(1);
}

const processes = new Processes(words.includes("--verbose"));
endWhenAsked();

const startedMs = performance.now();
/** The exit code, if the demo is interrupted. */
let interruptedWith: number | null = null;
let failure: unknown = null;
try {
  await Promise.race([run(), tooLate()]);
} catch (error) {
  failure = error;
}
await processes.end();
report();

async function run(): Promise<void> {
  const { origin, adminToken, cluster } = await coordinator();
  const api = new Api(origin, cluster, adminToken);
  await checkCoordinator(api);
  await new Story({ api, feed: new EventFeed(api), processes, adminToken }).run();
}

/** The coordinator at URL, or one that the demo starts. */
async function coordinator(): Promise<{ origin: string; adminToken: string; cluster: string }> {
  const { URL: url, ADMIN_TOKEN: adminToken, CLUSTER: cluster } = process.env;
  if (url === undefined || url === "") {
    console.log(dim("Starting a coordinator for this demo alone …"));
    return { ...(await processes.startServer()), cluster: cluster || "default" };
  }
  if (!globalThis.URL.canParse(url)) throw new NotSeen(`URL is not a URL: ${JSON.stringify(url)}`);
  if (!adminToken) throw new NotSeen("URL needs ADMIN_TOKEN too: the admin token of that coordinator");
  // A new cluster, so that real agents get no tasks of the demo and the demo gets no real tasks.
  const origin = new globalThis.URL(url).origin;
  return { origin, adminToken, cluster: cluster || `demo-${randomBytes(4).toString("hex")}` };
}

/** Checks URL and token first, since these are the usual mistakes. */
async function checkCoordinator(api: Api): Promise<void> {
  try {
    const health = await fetch(`${api.origin}/healthz`, { signal: AbortSignal.timeout(HEALTH_LIMIT_MS) });
    if (!health.ok) throw new Error(`GET /healthz was answered ${health.status}`);
  } catch (error) {
    throw new NotSeen(`no coordinator at ${api.origin}: ${reasonOf(error)}`);
  }
  await api.get("/status");
}

async function tooLate(): Promise<never> {
  await delay(DEMO_LIMIT_MS, undefined, { ref: false });
  throw new NotSeen(`the demo did not end within ${DEMO_LIMIT_MS / 1000} s`);
}

function report(): never {
  if (interruptedWith !== null) process.exit(interruptedWith);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  if (failure === null) {
    console.log(green(`\nEvery step was seen, in ${seconds} s. No process is left.`));
    process.exit(0);
  }
  console.error(red(`\nThe demo failed after ${seconds} s: ${failureText(failure)}`));
  const output = processes.lastOutput();
  if (output.length > 0)
    console.error(dim(`Last output of the agents and the server:\n  ${output.join("\n  ")}`));
  process.exit(1);
}

/** A step that was not seen is a sentence; a bug of the demo has a stack. */
function failureText(error: unknown): string {
  if (error instanceof NotSeen) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Ends at a signal, when stdout is closed, and when the npm that runs the demo has ended. */
function endWhenAsked(): void {
  const end = (code: number) => {
    interruptedWith = code;
    void processes.end().finally(() => process.exit(code));
  };
  // Not `once`: npm may send the same signal again, which must not kill this process.
  for (const [name, code] of Object.entries(SIGNAL_CODES)) process.on(name, () => end(code));
  process.stdout.on("error", () => end(1));
  if (process.env.npm_lifecycle_event !== "demo") return;
  const parentPid = process.ppid;
  setInterval(() => {
    if (process.ppid !== parentPid) end(SIGNAL_CODES.SIGTERM);
  }, PARENT_INTERVAL_MS).unref();
}
