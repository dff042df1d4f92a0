/** Checks a configuration completely: reports every error, and warns of values that are valid but probably wrong. */
import { Config } from "../../contract/config.ts";
import type { FieldError } from "../../contract/problem.ts";
import { fieldErrors, prototypeKeyIssues, type SchemaIssue, schemaIssues } from "../schema-issues.ts";
import { literalSecretWarnings, placeholderIssues, secretNamesIn } from "./secrets.ts";

/** The configuration with its defaults, or the errors. No error and no warning repeats a secret. */
export type ConfigResult =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly FieldError[] }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

/** The same with paths in parts, from which a caller can find the line of each. */
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
    // The schema also reports a `__proto__` in a section: report each once.
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

/** Secrets of the coordinator itself, which must not be sent anywhere. */
const OWN_SECRETS: readonly string[] = ["ADMIN_TOKEN", "SIGNING_KEY"];

function ownSecretIssues(config: Config): SchemaIssue[] {
  const issues: SchemaIssue[] = [];
  const visit = (value: unknown, path: string[]): void => {
    if (typeof value === "string") {
      for (const name of secretNamesIn(value).filter((one) => OWN_SECRETS.includes(one))) {
        issues.push({
          path,
          message: `${name} is a secret of the coordinator itself and is never sent; name another secret`,
        });
      }
    } else if (typeof value === "object" && value !== null) {
      for (const [key, part] of Object.entries(value)) visit(part, [...path, key]);
    }
  };
  visit(config.email_notification, ["email_notification"]);
  visit(config.webhook_notification, ["webhook_notification"]);
  return issues;
}

/** Mail providers that need no API key. */
const KEYLESS_PROVIDERS: ReadonlySet<string> = new Set(["smtp", "cloudflare"]);

/** Channels that are enabled but have no destination. */
function silentChannelWarnings(config: Config): SchemaIssue[] {
  const asked = config.failure_notification.enabled ? config.failure_notification.notification_types : [];
  const { recipients, provider, smtp_server, api_key } = config.email_notification;
  const { url, preset, routing_key } = config.webhook_notification;
  const silent = (path: string[]): SchemaIssue => ({
    path,
    message: "is empty although `notification_types` lists this channel; the channel will send nothing",
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
    // PagerDuty has a fixed address and needs a key instead.
    ...(asked.includes("webhook") && preset !== "pagerduty" && url === ""
      ? [silent(["webhook_notification", "url"])]
      : []),
    ...(asked.includes("webhook") && preset === "pagerduty" && routing_key === ""
      ? [silent(["webhook_notification", "routing_key"])]
      : []),
  ];
}
