/**
 * A bundle with a Worker that shows its environment, to test the run commands without the product:
 * `/variables`, `/configuration`, `/count` (kept in an object of each class), `/fetch?url=`, `/log`,
 * `/hang` (never answers).
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BundleFacts } from "../../scripts/server/bundle.ts";

const CONFIGURATION_MODULE = `${"0".repeat(40)}-distributed_config.json`;
const CLASSES = { AGENT_GROUP: "AgentGroup", COORDINATOR: "Coordinator", NOTIFIER: "Notifier" };

const WORKER = `
import { DurableObject } from "cloudflare:workers";
import configuration from "./${CONFIGURATION_MODULE}";

class Counter extends DurableObject {
  count() {
    this.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY, count INTEGER)");
    this.ctx.storage.sql.exec("INSERT INTO counter VALUES (1, 1) ON CONFLICT DO UPDATE SET count = count + 1");
    return this.ctx.storage.sql.exec("SELECT count FROM counter").one().count;
  }
}
export class AgentGroup extends Counter {}
export class Coordinator extends Counter {}
export class Notifier extends Counter {}

const routes = {
  "/healthz": () => Response.json({ status: "ok" }),
  "/variables": (url, env) => Response.json(env),
  "/configuration": () => new Response(configuration),
  "/count": async (url, env) => {
    const namespaces = [env.AGENT_GROUP, env.COORDINATOR, env.NOTIFIER];
    return Response.json(await Promise.all(namespaces.map((namespace) => namespace.getByName("one").count())));
  },
  "/fetch": async (url) => {
    try {
      return new Response((await fetch(url.searchParams.get("url"))).status);
    } catch (error) {
      return new Response(String(error));
    }
  },
  "/log": () => {
    console.log(JSON.stringify({ event: "asked_to_log" }));
    return new Response();
  },
  "/hang": () => new Promise((resolve) => setTimeout(resolve, 60_000, new Response())),
};

export default {
  fetch(request, env) {
    const url = new URL(request.url);
    return routes[url.pathname](url, env);
  },
};
`;

/** @param worker another source, such as one that does not start */
export function writeProbeBundle(dir: string, worker = WORKER): string {
  const facts: BundleFacts = {
    compatibility_date: "2026-11-02",
    compatibility_flags: ["global_fetch_strictly_public"],
    durable_objects: Object.entries(CLASSES).map(([binding, class_name]) => ({ binding, class_name })),
    modules: [
      { name: "index.js", type: "esModule" },
      { name: CONFIGURATION_MODULE, type: "text" },
    ],
  };
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "bundle.json"), JSON.stringify(facts));
  writeFileSync(join(dir, "index.js"), worker);
  return dir;
}
