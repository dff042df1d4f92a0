/**
 * The channel `webhook`: a signed HTTP request, or several where the receiver takes one thing a
 * request. Delivered is what was answered with 2xx; a redirect is not followed. An error tells the
 * status at most: addresses, headers and answers may hold secrets.
 */
import type { WebhookNotificationConfig } from "../../contract/config/notification.ts";
import { refuseTarget } from "../../validation/webhook-target.ts";
import { type Channel, DELIVERED, type Delivery, failed } from "../channel.ts";
import { retryAfterMs } from "../retry-after.ts";
import { withoutSecrets } from "../secrets.ts";
import type { HttpOutcome, HttpRequest } from "../transports.ts";
import { printable } from "../wording.ts";
import { PRESETS } from "./presets.ts";
import { signedHeaders } from "./signature.ts";

const DEFAULT_HEADERS = { "content-type": "application/json", "user-agent": "failover-coordinator" };
const KEY_FORM = 'it must be "whsec_" and the base64 of 24 to 64 bytes';
const MAX_REASON_CHARACTERS = 200;

export const webhookChannel: Channel = {
  name: "webhook",
  async deliver(notice, { config, transports, nowMs, allowLocalTargets, publicUrl }) {
    const webhook = config.webhook_notification;
    const preset = PRESETS[webhook.preset];
    const url = webhook.url === "" ? preset.defaultUrl : webhook.url;
    if (url === null) {
      return failed("webhook_notification.url is empty: set where to send to", { isPermanent: true });
    }
    const missing = preset.missing(webhook);
    if (missing !== null) return failed(missing, { isPermanent: true });
    const refusal = refuseTarget(url, { allowLocalTargets, publicUrl });
    if (refusal !== null) {
      return failed(`webhook_notification.url is refused: ${refusal}`, { isPermanent: true });
    }
    const unsendable = Object.entries(configuredHeaders(webhook)).find(([, value]) => !SENDABLE.test(value));
    if (unsendable !== undefined) {
      const error = `webhook_notification.headers.${unsendable[0]} holds what no header can carry: Latin-1 text alone, in one line`;
      return failed(error, { isPermanent: true });
    }
    const bodies = preset.bodies(notice, webhook);
    let result: Delivery = DELIVERED;
    for (const [index, content] of bodies.entries()) {
      const body = JSON.stringify(content);
      const signing = await signedHeaders({
        // Each request is a message of its own to its receiver, with the same id at every try.
        id: index === 0 ? notice.id : `${notice.id}-${index + 1}`,
        timestampSeconds: Math.floor(nowMs / 1000),
        body,
        secrets: webhook,
      });
      if (!signing.isSigned) {
        return failed(`webhook_notification.${signing.unusableKey} is not usable as a key: ${KEY_FORM}`, {
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

/** What `fetch` can send as a header; a secret that was filled in may be anything. */
const SENDABLE = /^[ -~\u00a0-\u00ff]*$/;

/** What one body did wrong must not keep the others from arriving; whatever else will meet them too. */
function isAboutThisBody(outcome: HttpOutcome): boolean {
  return outcome.isAnswered && [400, 413, 422].includes(outcome.status);
}

/** By names in lower case; the headers that sign the request are ours alone. */
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
    return failed("answered 410: the receiver wants nothing any more", { isPermanent: true, isGone: true });
  }
  const wait = { retryAfterMs: retryAfterMs(outcome.retryAfter, nowMs) };
  if (status >= 300 && status < 400) {
    return failed(`answered ${status}: redirects are not followed; set the final address`, wait);
  }
  return failed(`answered ${status}`, wait);
}

/** Why nothing was answered, without what the configuration keeps to itself. */
function reasonOf(
  reason: string,
  { url, headers, secret, previous_secret, routing_key }: WebhookNotificationConfig,
): string {
  const hidden = [...formsOf(url), ...Object.values(headers), secret, previous_secret, routing_key];
  return printable(withoutSecrets(reason, hidden), MAX_REASON_CHARACTERS) || "no answer";
}

/** An address as it was written and as it is sent; its path alone can be the secret. */
function formsOf(url: string): string[] {
  if (!URL.canParse(url)) return [url];
  const { href, pathname, search } = new URL(url);
  return [url, href, pathname + search];
}
