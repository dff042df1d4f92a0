/**
 * One try of one message: fills in the secrets that the channel needs, lets it deliver within its
 * time, and takes every secret out of what it says about it. Changes nothing that is stored.
 */
import type { ChannelName } from "../../contract/notification.ts";
import { fingerprint } from "../../domain/fingerprint.ts";
import { type Delivery, failed, type NotificationConfig } from "../../notifications/channel.ts";
import type { NotificationMessage } from "../../notifications/notification-message.ts";
import { channelNamed } from "../../notifications/registry.ts";
import { fillIn, withoutSecrets } from "../../notifications/secrets.ts";
import type { NotifierContext } from "./notifier-context.ts";

/** On top of its own time a channel gets this much before it is given up on. */
const OVERTIME_MS = 5000;

/** `log` and `system` reach nobody outside; they need no time of their own. */
const INNER_TIMEOUT_MS = 1000;

/** For the boxes of active agents: of these groups, or of all. */
export type AgentNotice = { groups: readonly string[] | null; content: Record<string, unknown> };

export type SendAttempt = {
  readonly delivery: Delivery;
  /** What agents are to be told, once the delivery is on record. */
  readonly agentNotices: readonly AgentNotice[];
};

export class ChannelSender {
  readonly #context: NotifierContext;

  constructor(context: NotifierContext) {
    this.#context = context;
  }

  /** Never throws. */
  async deliver(name: ChannelName, notice: NotificationMessage, nowMs: number): Promise<SendAttempt> {
    const { environment, host } = this.#context;
    const { config, missing, secrets } = fillIn(this.#context.config, environment.secret);
    const unset = name === "email" || name === "webhook" ? missing[name] : [];
    if (unset.length > 0) {
      const error = `set the secret ${unset.join(", ")} in the environment: the configuration names it`;
      return { delivery: failed(error), agentNotices: [] };
    }
    const agentNotices: AgentNotice[] = [];
    const tools = {
      config,
      transports: environment.transports,
      log: host.log,
      tellAgents: (groups: readonly string[] | null, content: Record<string, unknown>) =>
        void agentNotices.push({ groups, content }),
      nowMs,
      allowLocalTargets: environment.allowLocalTargets,
      publicUrl: environment.publicUrl,
    };
    const delivery = await this.#withinTime(limitMs(name, config, notice), () =>
      channelNamed(name).deliver(notice, tools),
    );
    if (delivery.isDelivered) {
      const note = delivery.note === null ? null : withoutSecrets(delivery.note, secrets);
      return { delivery: { ...delivery, note }, agentNotices };
    }
    return { delivery: { ...delivery, error: withoutSecrets(delivery.error, secrets) }, agentNotices: [] };
  }

  /** The webhook's address, which is a secret more often than not, as a fingerprint. */
  webhookAddress(): string {
    const { config } = fillIn(this.#context.config, this.#context.environment.secret);
    return fingerprint(config.webhook_notification.url);
  }

  /** Carriers end by themselves; should one not, its message is not lost with it. */
  #withinTime(limit: number, deliver: () => Promise<Delivery>): Promise<Delivery> {
    return new Promise((resolve) => {
      const cancel = this.#context.host.after(limit, () => resolve(failed("it did not end in time")));
      deliver()
        .catch((error: unknown) => failed(`it broke on our side: ${String(error)}`))
        .then((delivery) => {
          cancel();
          resolve(delivery);
        });
    });
  }
}

function limitMs(name: ChannelName, config: NotificationConfig, notice: NotificationMessage): number {
  const { email_notification: email, webhook_notification: webhook } = config;
  if (name === "email") return email.timeout_seconds * 1000 + OVERTIME_MS;
  if (name !== "webhook") return INNER_TIMEOUT_MS + OVERTIME_MS;
  // PagerDuty takes an event for each incident of a digest, and two for a test.
  const requests = webhook.preset === "pagerduty" ? notice.incidents.length + 1 : 1;
  return webhook.timeout_seconds * 1000 * requests + OVERTIME_MS;
}
