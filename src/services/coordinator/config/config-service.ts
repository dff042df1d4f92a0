/** Reads and changes the configuration, and sends the other objects what they need of it. */
import type { Config } from "../../../contract/config.ts";
import { type Outcome, ok, type Problem, refuse } from "../../../contract/problem.ts";
import type { Address } from "../../../protocol/message-batch.ts";
import {
  type ConfigChange,
  patchConfig,
  replaceConfig,
} from "../../../validation/configuration/config-changes.ts";
import { redactConfig } from "../../../validation/configuration/secrets.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { Failover } from "../failover/failover.ts";

/** How long a change waits for the groups to confirm it. */
const DELIVERY_WAIT_MS = 5000;

export type ConfigAnswer = { config: Config; etag: string; version: number; pendingGroups: string[] };

type Needs = Pick<
  ClusterContext,
  "agents" | "meta" | "outbox" | "settings" | "tasks" | "unit" | "recordEvent"
>;

export class ConfigService {
  readonly #context: Needs;
  readonly #failover: Pick<Failover, "resume">;

  constructor(context: Needs, failover: Pick<Failover, "resume">) {
    this.#context = context;
    this.#failover = failover;
  }

  /** A new configuration file is a change too; the first one has to be sent as well. */
  load(): void {
    const { meta, settings } = this.#context;
    if (meta.read("config_sent") !== settings.contentMark) this.#send();
  }

  get(): ConfigAnswer {
    return this.#context.unit.read(() => this.#answer([]));
  }

  replace(body: unknown, ifMatch: string | null): Promise<Outcome<ConfigAnswer>> {
    return this.#change(replaceConfig, body, ifMatch);
  }

  patch(body: unknown, ifMatch: string | null): Promise<Outcome<ConfigAnswer>> {
    return this.#change(patchConfig, body, ifMatch);
  }

  async #change(
    change: typeof patchConfig,
    body: unknown,
    ifMatch: string | null,
  ): Promise<Outcome<ConfigAnswer>> {
    const sent = this.#context.unit.commit((nowMs): Outcome<{ receiver: Address; number: number }[]> => {
      const { settings } = this.#context;
      if (ifMatch !== null && !listsTag(ifMatch, settings.etag)) {
        return refuse(
          "config_changed",
          "the configuration has changed; read it again and repeat the change",
          {
            etag: settings.etag,
          },
        );
      }
      const changed = change(settings.base, settings.overrides, body);
      if (!changed.ok) return { ok: false, problem: invalidConfig(changed) };
      const agingMs = settings.agingMs;
      const wasEnabled = settings.config.failover_config.enabled;
      settings.store(changed.config, changed.overrides);
      if (settings.agingMs !== agingMs) this.#context.tasks.store.reorder(settings.agingMs);
      if (!wasEnabled && settings.config.failover_config.enabled) this.#failover.resume(nowMs);
      this.#context.recordEvent(
        { type: "config.changed", subject: "config", data: { version: settings.version } },
        nowMs,
      );
      return ok(this.#send());
    });
    if (!sent.ok) return sent;
    const deliveries = await Promise.all(
      sent.value.map(async ({ receiver, number }) => ({
        receiver,
        isDelivered: await this.#context.outbox.delivered(receiver, number, DELIVERY_WAIT_MS),
      })),
    );
    const pendingGroups = deliveries
      .filter(({ receiver, isDelivered }) => !isDelivered && receiver.startsWith("group/"))
      .map(({ receiver }) => receiver.slice("group/".length));
    return ok(this.#answer(pendingGroups));
  }

  #send(): { receiver: Address; number: number }[] {
    const { meta, outbox, agents, settings } = this.#context;
    meta.write("config_sent", settings.contentMark);
    const notifier = outbox.send("notifier", {
      type: "configure_notifier",
      version: settings.version,
      notification: settings.config.failure_notification,
      email: settings.config.email_notification,
      webhook: settings.config.webhook_notification,
    });
    const groups = agents.groups().map((group) => {
      const receiver: Address = `group/${group}`;
      return {
        receiver,
        number: outbox.send(receiver, {
          type: "configure_group",
          settings: settings.forGroups(),
        }),
      };
    });
    return [{ receiver: "notifier", number: notifier }, ...groups];
  }

  #answer(pendingGroups: string[]): ConfigAnswer {
    const { settings } = this.#context;
    return {
      config: redactConfig(settings.config),
      etag: settings.etag,
      version: settings.version,
      pendingGroups,
    };
  }
}

/** @param ifMatch tags separated by commas, or `*` for any (RFC 9110); our tags have no comma */
function listsTag(ifMatch: string, etag: string): boolean {
  return ifMatch.split(",").some((tag) => tag.trim() === "*" || tag.trim() === etag);
}

function invalidConfig(change: Extract<ConfigChange, { ok: false }>): Problem {
  return {
    code: "invalid_request",
    detail: "the configuration is not valid; nothing was changed",
    errors: change.errors,
  };
}
