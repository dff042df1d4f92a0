/**
 * The webhook is switched off once its receiver answered 410 Gone. The address is stored as a fingerprint, since it may
 * contain a secret; another address switches the webhook on again.
 */
import type { Notification } from "../../contract/notification.ts";
import type { NotifierContext } from "./notifier-context.ts";

/** The name in `meta`; empty once the address was used again. */
const GONE = "webhook_gone";

export class WebhookSwitch {
  readonly #context: Pick<NotifierContext, "meta" | "recordEvent">;

  constructor(context: Pick<NotifierContext, "meta" | "recordEvent">) {
    this.#context = context;
  }

  /** @param address the fingerprint of the address that would be used */
  isOff(address: string): boolean {
    return this.#context.meta.read(GONE) === address;
  }

  /** @param address the one that answered: the configuration may have changed meanwhile */
  switchOff({ id, channel }: Notification, address: string, nowMs: number): void {
    this.#context.meta.write(GONE, address);
    const data = { channel, reason: "the receiver answered 410 Gone" };
    this.#context.recordEvent({ type: "notification.disabled", subject: id, data }, nowMs);
  }

  /** A message was delivered to this address. */
  switchOn(address: string): void {
    if (this.isOff(address)) this.#context.meta.write(GONE, "");
  }

  /** A caller asks for an attempt: the receiver may exist again. */
  reset(): void {
    this.#context.meta.write(GONE, "");
  }
}
