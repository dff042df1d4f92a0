/**
 * Fills in the secrets that a configuration names as `${NAME}`, and removes every secret from the outcome of a delivery.
 */
import { unusedEmailKeys, unusedWebhookKeys } from "../validation/configuration/missing-secrets.ts";
import { literalSecretsOf, secretNamesIn } from "../validation/configuration/secrets.ts";
import type { NotificationConfig } from "./channel.ts";

export type FilledIn = {
  readonly config: NotificationConfig;
  /** Names of secrets that are not set, by section. */
  readonly missing: { readonly email: readonly string[]; readonly webhook: readonly string[] };
  /** Every value that must never be shown. */
  readonly secrets: readonly string[];
};

/** Replaces a secret. */
const HIDDEN = "[redacted]";

/** Shorter texts occur in ordinary words. */
const SHORTEST_HIDDEN_CHARACTERS = 4;

/** @param secret the value of a secret by its name, or null */
export function fillIn(config: NotificationConfig, secret: (name: string) => string | null): FilledIn {
  const values: string[] = [...literalSecretsOf(config)];
  const section = <Section extends object>(given: Section, unused: readonly (keyof Section)[]) => {
    const missing: string[] = [];
    const filled = Object.entries(given).map(([key, part]) => {
      const isUsed = !unused.includes(key as keyof Section);
      const fill = (text: string) =>
        secretNamesIn(text).reduce((current, name) => {
          const value = secret(name);
          if (value !== null) values.push(value);
          else if (isUsed) missing.push(name);
          return value === null ? current : current.replaceAll(`\${${name}}`, () => value);
        }, text);
      return [key, mapTexts(part, fill)];
    });
    return { filled: Object.fromEntries(filled) as Section, missing: [...new Set(missing)] };
  };
  const { email_notification, webhook_notification } = config;
  const email = section(email_notification, unusedEmailKeys(email_notification));
  const webhook = section(webhook_notification, unusedWebhookKeys(webhook_notification));
  return {
    config: { ...config, email_notification: email.filled, webhook_notification: webhook.filled },
    missing: { email: email.missing, webhook: webhook.missing },
    secrets: [...new Set(values)],
  };
}

/** The text without any of the secrets, also in base64, in JSON and percent-encoded. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  const forms = secrets
    .filter((secret) => secret.length >= SHORTEST_HIDDEN_CHARACTERS)
    .flatMap((secret) => [secret, encodeURIComponent(secret.toWellFormed()), base64(secret), inJson(secret)])
    .sort((a, b) => b.length - a.length);
  return forms.reduce((current, form) => current.replaceAll(form, HIDDEN), text);
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text))).replace(/=+$/, "");
}

const inJson = (text: string) => JSON.stringify(text).slice(1, -1);

function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTexts(item, change)]));
}
