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
  /** `true`: webhooks and mail may reach local addresses, and plain http. */
  readonly ALLOW_LOCAL_TARGETS?: string;
  /** Where this deployment is reached: messages link to it, and none is sent to it. */
  readonly PUBLIC_URL?: string;
  /** Web pages that may call, by their origins: a list with commas, or `*`. */
  readonly CORS_ORIGINS?: string;
  /** Cloudflare's mail binding (`send_email`), where there is one. */
  readonly EMAIL?: SendEmail;
};

/** The secrets of the coordinator itself: no configuration may use them. */
const OWN_SECRETS: ReadonlySet<string> = new Set(["ADMIN_TOKEN", "SIGNING_KEY"]);

/** The value of a secret that a configuration may name, or null. */
export function secretOf(env: Env, name: string): string | null {
  if (OWN_SECRETS.has(name)) return null;
  const value = Object.hasOwn(env, name) ? (env as Record<string, unknown>)[name] : undefined;
  return typeof value === "string" && value !== "" ? value : null;
}
