/** What the platform binds to the Worker and its objects, see wrangler.toml. */
import type { AgentGroup } from "./agent-group.ts";
import type { Coordinator } from "./coordinator.ts";
import type { Notifier } from "./notifier.ts";

export type Env = {
  readonly AGENT_GROUP: DurableObjectNamespace<AgentGroup>;
  readonly COORDINATOR: DurableObjectNamespace<Coordinator>;
  readonly NOTIFIER: DurableObjectNamespace<Notifier>;
  /** Secrets: without them every route answers `not_configured`. */
  readonly ADMIN_TOKEN?: string;
  readonly SIGNING_KEY?: string;
  /** Random at each start of a local server; on Cloudflare the deployment's id serves. */
  readonly BOOT_ID?: string;
  readonly CF_VERSION_METADATA?: WorkerVersionMetadata;
};
