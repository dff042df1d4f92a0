/**
 * Whether something is a configuration. All of it is checked, all that is wrong is said, and what is legal
 * but hardly meant is a warning.
 */
import { Config } from "../../contract/config.ts";
import type { FieldError } from "../../contract/problem.ts";
import { fieldErrors, prototypeKeyIssues, type SchemaIssue, schemaIssues } from "../schema-issues.ts";
import { literalSecretWarnings, placeholderIssues, secretNamesIn } from "./secrets.ts";

/** A complete configuration with the defaults filled in, or what is wrong. Neither repeats a secret. */
export type ConfigResult =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly FieldError[] }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

/** The same with paths in parts, for who knows on which line they stand. */
export type ConfigCheck =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly SchemaIssue[] }
  | { readonly ok: false; readonly issues: readonly SchemaIssue[] };

/** Checks a value, such as a parsed body, against the schema and fills in the defaults. */
export function validateConfig(input: unknown): ConfigResult {
  return resultOf(checkConfig(input));
}

/** `validateConfig` with paths in parts. */
export function checkConfig(input: unknown): ConfigCheck {
  const prototypeKeys = prototypeKeyIssues(Config, input);
  const parsed = Config.safeParse(input);
  if (!parsed.success) {
    // The schema names an unknown `__proto__` in a section too: said once is enough.
    const others = schemaIssues(Config, parsed.error).filter((issue) => issue.path.at(-1) !== "__proto__");
    return { ok: false, issues: [...prototypeKeys, ...others] };
  }
  const issues = [...prototypeKeys, ...placeholderIssues(parsed.data), ...ownSecretIssues(parsed.data)];
  if (issues.length > 0) return { ok: false, issues };
  const warnings = [...literalSecretWarnings(parsed.data), ...silentChannelWarnings(parsed.data)];
  return { ok: true, config: parsed.data, warnings };
}

export function resultOf(check: ConfigCheck): ConfigResult {
  return check.ok
    ? { ok: true, config: check.config, warnings: fieldErrors(check.warnings) }
    : { ok: false, errors: fieldErrors(check.issues) };
}

/** What opens the coordinator itself must not leave it. */
const OWN_SECRETS: readonly string[] = ["ADMIN_TOKEN", "SIGNING_KEY"];

function ownSecretIssues(config: Config): SchemaIssue[] {
  const issues: SchemaIssue[] = [];
  const visit = (value: unknown, path: string[]): void => {
    if (typeof value === "string") {
      for (const name of secretNamesIn(value).filter((one) => OWN_SECRETS.includes(one))) {
        issues.push({ path, message: `${name} opens the coordinator itself: name another secret` });
      }
    } else if (typeof value === "object" && value !== null) {
      for (const [key, part] of Object.entries(value)) visit(part, [...path, key]);
    }
  };
  visit(config.email_notification, ["email_notification"]);
  visit(config.webhook_notification, ["webhook_notification"]);
  return issues;
}

/** Ways to send mail that need no key of an HTTP API. */
const KEYLESS_PROVIDERS: ReadonlySet<string> = new Set(["smtp", "cloudflare"]);

/** Channels that are asked for but do not know where to send. */
function silentChannelWarnings(config: Config): SchemaIssue[] {
  const asked = config.failure_notification.enabled ? config.failure_notification.notification_types : [];
  const { recipients, provider, smtp_server, api_key } = config.email_notification;
  const { url, preset, routing_key } = config.webhook_notification;
  const silent = (path: string[]): SchemaIssue => ({
    path,
    message: "empty although `notification_types` asks for this channel; it will tell nobody",
  });
  return [
    ...(asked.includes("email") && recipients.length === 0
      ? [silent(["email_notification", "recipients"])]
      : []),
    ...(asked.includes("email") && provider === "smtp" && smtp_server === ""
      ? [silent(["email_notification", "smtp_server"])]
      : []),
    ...(asked.includes("email") && !KEYLESS_PROVIDERS.has(provider) && api_key === ""
      ? [silent(["email_notification", "api_key"])]
      : []),
    // PagerDuty has an address of its own, and needs a key instead.
    ...(asked.includes("webhook") && preset !== "pagerduty" && url === ""
      ? [silent(["webhook_notification", "url"])]
      : []),
    ...(asked.includes("webhook") && preset === "pagerduty" && routing_key === ""
      ? [silent(["webhook_notification", "routing_key"])]
      : []),
  ];
}
