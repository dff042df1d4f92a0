/** Names of secrets in a configuration that the environment does not have: messages would be sent without them. */

import type {
  EmailNotificationConfig,
  WebhookNotificationConfig,
} from "../../contract/config/notification.ts";
import type { Config } from "../../contract/config.ts";
import type { SchemaIssue } from "../schema-issues.ts";
import { secretNamesIn } from "./secrets.ts";

/** Keys that the configured provider does not use: their secrets may be missing. */
export function unusedEmailKeys({ provider }: EmailNotificationConfig): (keyof EmailNotificationConfig)[] {
  if (provider === "smtp") return ["api_key", "api_base_url"];
  return ["password", ...(provider === "cloudflare" ? (["api_key", "api_base_url"] as const) : [])];
}

/** Keys that the configured preset does not use. */
export function unusedWebhookKeys({
  preset,
}: WebhookNotificationConfig): (keyof WebhookNotificationConfig)[] {
  return preset === "pagerduty" ? [] : ["routing_key"];
}

/** A warning for each value that names a secret which is not set. @param isKnown whether there is such a secret */
export function missingSecretWarnings(
  { email_notification, webhook_notification }: Config,
  isKnown: (name: string) => boolean,
): SchemaIssue[] {
  const warnings: SchemaIssue[] = [];
  const visit = (value: unknown, path: readonly string[]): void => {
    if (typeof value === "string") {
      for (const name of new Set(secretNamesIn(value))) {
        if (isKnown(name)) continue;
        const message = `names the secret ${name}, which is not set in the environment of the server`;
        warnings.push({ path, message });
      }
    } else if (typeof value === "object" && value !== null) {
      for (const [key, part] of Object.entries(value)) visit(part, [...path, key]);
    }
  };
  const section = (name: string, keys: object, unused: readonly string[]) => {
    for (const [key, value] of Object.entries(keys)) if (!unused.includes(key)) visit(value, [name, key]);
  };
  section("email_notification", email_notification, unusedEmailKeys(email_notification));
  section("webhook_notification", webhook_notification, unusedWebhookKeys(webhook_notification));
  return warnings;
}
