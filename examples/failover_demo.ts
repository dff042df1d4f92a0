/**
 * `npm run demo`: real agents, real tasks, and one `kill -9`. Tells the story of the failover as the
 * coordinator's own event stream and records tell it, and exits 0 only if all of it was seen.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Api, NotSeen, reasonOf } from "./demo/api.ts";
import { EventFeed } from "./demo/event-feed.ts";
import { Processes } from "./demo/processes.ts";
import { Story } from "./demo/story.ts";
import { dim, green, red } from "./demo/terminal.ts";

const HELP = `Shows a failover: registers agents, submits tasks, kills one agent for real, and tells what happens.

usage: npm run demo [-- --verbose]

  --verbose   also show what the agents and the server say
  --help      show this

Environment:
  URL          a coordinator that runs already, such as http://127.0.0.1:8787;
               without it, the demo starts one of its own and ends it again
  ADMIN_TOKEN  its admin token; needed with URL
  CLUSTER      the cluster to use: "default" on a server of its own, a new one with URL
  NO_COLOR     no colours; there are none either unless stdout is a terminal

Exit codes: 0 all of it was seen, 1 it was not, or something was set wrongly.`;

/** Some 12 s are usual. Past this, whatever is still awaited does not come. */
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
/** The exit code, once somebody wants us to end before the end. */
let interruptedWith: number | null = null;
let failure: unknown = null;
try {
  await Promise.race([tell(), tooLate()]);
} catch (error) {
  failure = error;
}
await processes.end();
report();

async function tell(): Promise<void> {
  const { origin, adminToken, cluster } = await coordinator();
  const api = new Api(origin, cluster, adminToken);
  await checkCoordinator(api);
  await new Story(api, new EventFeed(api), processes, adminToken).tell();
}

/** The coordinator that was asked for, or one of our own. */
async function coordinator(): Promise<{ origin: string; adminToken: string; cluster: string }> {
  const { URL: url, ADMIN_TOKEN: adminToken, CLUSTER: cluster } = process.env;
  if (url === undefined || url === "") {
    console.log(dim("Starting a coordinator for this demo alone …"));
    return { ...(await processes.startServer()), cluster: cluster || "default" };
  }
  if (!globalThis.URL.canParse(url)) throw new NotSeen(`URL is not a URL: ${JSON.stringify(url)}`);
  if (!adminToken) throw new NotSeen("with URL, set ADMIN_TOKEN too: the admin token of that coordinator");
  // Nobody's real agents get our tasks, nor ours theirs: a cluster that nobody has used before.
  const origin = new globalThis.URL(url).origin;
  return { origin, adminToken, cluster: cluster || `demo-${randomBytes(4).toString("hex")}` };
}

/** The two usual mistakes, said plainly before anything else starts. */
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
  throw new NotSeen(`it was not over after ${DEMO_LIMIT_MS / 1000} s`);
}

function report(): never {
  if (interruptedWith !== null) process.exit(interruptedWith);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  if (failure === null) {
    console.log(green(`\nAll of it was seen, in ${seconds} s. No process is left.`));
    process.exit(0);
  }
  console.error(red(`\nThe demo failed after ${seconds} s: ${failureText(failure)}`));
  const lastWords = processes.lastWords();
  if (lastWords.length > 0)
    console.error(dim(`What agents and server said last:\n  ${lastWords.join("\n  ")}`));
  process.exit(1);
}

/** A bug of the demo shows where it is; what was not seen is said in a sentence. */
function failureText(error: unknown): string {
  if (error instanceof NotSeen) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Ends at a signal, when nobody reads any more, and when the npm that runs us has gone without a word. */
function endWhenAsked(): void {
  const end = (code: number) => {
    interruptedWith = code;
    void processes.end().finally(() => process.exit(code));
  };
  // Not `once`: npm passes on a signal that we got already, and nobody must die of the second one.
  for (const [name, code] of Object.entries(SIGNAL_CODES)) process.on(name, () => end(code));
  process.stdout.on("error", () => end(1));
  if (process.env.npm_lifecycle_event !== "demo") return;
  const parentPid = process.ppid;
  setInterval(() => {
    if (process.ppid !== parentPid) end(SIGNAL_CODES.SIGTERM);
  }, PARENT_INTERVAL_MS).unref();
}
