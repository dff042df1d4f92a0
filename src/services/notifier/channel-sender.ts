/**
 * Makes one attempt to deliver one message: fills in the secrets that the channel needs, limits the time, and removes
 * every secret from the outcome. It changes nothing that is stored.
 */
import type { ChannelName } from "../../contract/notification.ts";
import { fingerprint } from "../../domain/fingerprint.ts";
import {
  type AgentBroadcast,
  type Delivery,
  failed,
  type NotificationConfig,
} from "../../notifications/channel.ts";
import type { NotificationMessage } from "../../notifications/notification-message.ts";
import { channelNamed } from "../../notifications/registry.ts";
import { fillIn, withoutSecrets } from "../../notifications/secrets.ts";
import type { NotifierContext } from "./notifier-context.ts";

/** A channel ends by itself after its own timeout; this much later its attempt counts as failed in any case. */
const OVERTIME_MS = 5000;

/** The channels `log` and `system` call no other host, and have no timeout in the configuration. */
const INTERNAL_TIMEOUT_MS = 1000;

export type SendAttempt = {
  readonly delivery: Delivery;
  /** What to send to agents once the delivery is recorded. */
  readonly broadcasts: readonly AgentBroadcast[];
};

type Needs = Pick<NotifierContext, "environment" | "host" | "settings">;

export class ChannelSender {
  readonly #context: Needs;

  constructor(context: Needs) {
    this.#context = context;
  }

  /** Never throws. */
  async deliver(name: ChannelName, message: NotificationMessage, nowMs: number): Promise<SendAttempt> {
    const { environment, host, settings } = this.#context;
    const { config, missing, secrets } = fillIn(settings.config, environment.secret);
    const unset = name === "email" || name === "webhook" ? missing[name] : [];
    if (unset.length > 0) {
      const error = `the configuration names the secret ${unset.join(", ")}, which is not set: set it in the environment`;
      return { delivery: failed(error), broadcasts: [] };
    }
    const broadcasts: AgentBroadcast[] = [];
    const tools = {
      config,
      transports: environment.transports,
      log: host.log,
      broadcast: (broadcast: AgentBroadcast) => void broadcasts.push(broadcast),
      nowMs,
      allowLocalTargets: environment.allowLocalTargets,
      publicUrl: environment.publicUrl,
    };
    const delivery = await this.#withinTime(timeoutMs(name, config, message), () =>
      channelNamed(name).deliver(message, tools),
    );
    if (delivery.isDelivered) {
      const note = delivery.note === null ? null : withoutSecrets(delivery.note, secrets);
      return { delivery: { ...delivery, note }, broadcasts };
    }
    return { delivery: { ...delivery, error: withoutSecrets(delivery.error, secrets) }, broadcasts: [] };
  }

  /** A fingerprint of the webhook's address, which is a secret more often than not. */
  webhookAddress(): string {
    const { config } = fillIn(this.#context.settings.config, this.#context.environment.secret);
    return fingerprint(config.webhook_notification.url);
  }

  /** A transport ends within its timeout. If one does not, its message must not wait for ever. */
  #withinTime(limitMs: number, deliver: () => Promise<Delivery>): Promise<Delivery> {
    return new Promise((resolve) => {
      const cancel = this.#context.host.after(limitMs, () =>
        resolve(failed("the attempt did not end within its timeout")),
      );
      void deliver()
        .catch((error: unknown) => failed(`the attempt failed with an internal error: ${String(error)}`))
        .then((delivery) => {
          cancel();
          resolve(delivery);
        });
    });
  }
}

function timeoutMs(name: ChannelName, config: NotificationConfig, message: NotificationMessage): number {
  const { email_notification: email, webhook_notification: webhook } = config;
  if (name === "email") return email.timeout_seconds * 1000 + OVERTIME_MS;
  if (name !== "webhook") return INTERNAL_TIMEOUT_MS + OVERTIME_MS;
  // PagerDuty takes an event for each incident of a digest, and two for a test.
  const requests = webhook.preset === "pagerduty" ? message.incidents.length + 1 : 1;
  return webhook.timeout_seconds * 1000 * requests + OVERTIME_MS;
}
