/**
 * The channel `webhook`: a signed HTTP request, or several if the receiver takes one event in a request. An answer 2xx
 * means delivered; redirects are not followed. An error contains the status at most: addresses, headers and answers may
 * contain secrets.
 */
import type { WebhookNotificationConfig } from "../../contract/config/notification.ts";
import { refuseTarget } from "../../validation/webhook-target.ts";
import { type Channel, DELIVERED, type Delivery, failed } from "../channel.ts";
import { retryAfterMs } from "../retry-after.ts";
import { withoutSecrets } from "../secrets.ts";
import { printable } from "../text.ts";
import type { HttpOutcome, HttpRequest } from "../transports.ts";
import { cloudEventPreset } from "./cloud-event.ts";
import { discordPreset } from "./discord.ts";
import { pagerDutyPreset } from "./pagerduty.ts";
import type { Preset } from "./preset.ts";
import { signedHeaders } from "./signature.ts";
import { slackPreset } from "./slack.ts";

/** By the name in the configuration. */
const PRESETS: Readonly<Record<WebhookNotificationConfig["preset"], Preset>> = {
  cloudevents: cloudEventPreset,
  slack: slackPreset,
  discord: discordPreset,
  pagerduty: pagerDutyPreset,
};

const DEFAULT_HEADERS = { "content-type": "application/json", "user-agent": "failover-coordinator" };
const KEY_FORM = 'it must be "whsec_" and the base64 of 24 to 64 bytes';
const MAX_REASON_CHARACTERS = 200;

export const webhookChannel: Channel = {
  name: "webhook",
  async deliver(message, { config, transports, nowMs, allowLocalTargets, publicUrl }) {
    const webhook = config.webhook_notification;
    const preset = PRESETS[webhook.preset];
    const url = webhook.url === "" ? preset.defaultUrl : webhook.url;
    if (url === null) {
      return failed("webhook_notification.url is empty: set the address of the receiver", {
        isPermanent: true,
      });
    }
    const missing = preset.missing(webhook);
    if (missing !== null) return failed(missing, { isPermanent: true });
    const refusal = refuseTarget(url, { allowLocalTargets, publicUrl });
    if (refusal !== null) {
      return failed(`webhook_notification.url is refused: ${refusal}`, { isPermanent: true });
    }
    const unsendable = Object.entries(configuredHeaders(webhook)).find(([, value]) => !SENDABLE.test(value));
    if (unsendable !== undefined) {
      const error = `webhook_notification.headers.${unsendable[0]} is not a valid header value: use Latin-1 characters in one line`;
      return failed(error, { isPermanent: true });
    }
    const bodies = preset.bodies(message, webhook);
    let result: Delivery = DELIVERED;
    for (const [index, content] of bodies.entries()) {
      const body = JSON.stringify(content);
      const signing = await signedHeaders({
        // Each request is a message of its own for the receiver, with the same id in every attempt.
        id: index === 0 ? message.id : `${message.id}-${index + 1}`,
        timestampSeconds: Math.floor(nowMs / 1000),
        body,
        secrets: webhook,
      });
      if (!signing.isSigned) {
        return failed(`webhook_notification.${signing.unusableKey} is not a valid key: ${KEY_FORM}`, {
          isPermanent: true,
        });
      }
      const headers = { ...DEFAULT_HEADERS, ...configuredHeaders(webhook), ...signing.headers };
      const request: HttpRequest = { url, method: webhook.method, headers, body };
      const outcome = await transports.http(request, webhook.timeout_seconds * 1000);
      const delivery = deliveryOf(outcome, webhook, nowMs);
      if (delivery.isDelivered) continue;
      const which = bodies.length > 1 ? `request ${index + 1} of ${bodies.length}: ` : "";
      if (result.isDelivered) result = { ...delivery, error: which + delivery.error };
      if (!isAboutThisBody(outcome)) return result;
    }
    return result;
  },
};

/** The header values that `fetch` can send; a secret that was filled in may have any characters. */
const SENDABLE = /^[ -~\u00a0-\u00ff]*$/;

/** Whether the other bodies may still be delivered. After any other failure they would fail too. */
function isAboutThisBody(outcome: HttpOutcome): boolean {
  return outcome.isAnswered && [400, 413, 422].includes(outcome.status);
}

/** With names in lower case, and without the headers that only the signature may set. */
function configuredHeaders({ headers }: WebhookNotificationConfig): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers)
      .map(([name, value]) => [name.toLowerCase(), value] as const)
      .filter(([name]) => !name.startsWith("webhook-")),
  );
}

function deliveryOf(outcome: HttpOutcome, config: WebhookNotificationConfig, nowMs: number): Delivery {
  if (!outcome.isAnswered) return failed(reasonOf(outcome.reason, config));
  const { status } = outcome;
  if (status >= 200 && status < 300) return DELIVERED;
  if (status === 410) {
    return failed("answered 410 Gone: the receiver no longer exists", { isPermanent: true, isGone: true });
  }
  const wait = { retryAfterMs: retryAfterMs(outcome.retryAfter, nowMs) };
  if (status >= 300 && status < 400) {
    return failed(`answered ${status}: redirects are not followed; set the final address`, wait);
  }
  return failed(`answered ${status}`, wait);
}

/** Why there was no answer, without the secrets of the configuration. */
function reasonOf(
  reason: string,
  { url, headers, secret, previous_secret, routing_key }: WebhookNotificationConfig,
): string {
  const hidden = [...formsOf(url), ...Object.values(headers), secret, previous_secret, routing_key];
  return printable(withoutSecrets(reason, hidden), MAX_REASON_CHARACTERS) || "no answer";
}

/** A URL as it was written and as it is sent; its path alone may be the secret. */
function formsOf(url: string): string[] {
  if (!URL.canParse(url)) return [url];
  const { href, pathname, search } = new URL(url);
  return [url, href, pathname + search];
}
