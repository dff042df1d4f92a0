/** What the platform binds to the Worker and its objects, see wrangler.toml. */

export type Env = {
  readonly AGENT_GROUP: DurableObjectNamespace;
  readonly COORDINATOR: DurableObjectNamespace;
  readonly NOTIFIER: DurableObjectNamespace;
  /** Secrets: without them every route answers `not_configured`. */
  readonly ADMIN_TOKEN?: string;
  readonly SIGNING_KEY?: string;
  /** Random at each start of a local server; on Cloudflare the deployment's id serves. */
  readonly BOOT_ID?: string;
  readonly CF_VERSION_METADATA?: WorkerVersionMetadata;
};
