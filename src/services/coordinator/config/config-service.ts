/** Reads and changes the configuration, and sends the other objects what they need of it. */
import type { AppliedDefaults, Config } from "../../../contract/config.ts";
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
import { ConfigHistory } from "./config-history.ts";
import { HeartbeatDefaults } from "./heartbeat-defaults.ts";

/** How long a change waits for the groups to confirm it. */
const DELIVERY_WAIT_MS = 5000;

/** Changed keys that the event names; the history has all. */
const KEYS_IN_EVENT = 20;

export type ConfigAnswer = { config: Config; etag: string; version: number };

/**
 * @property pendingGroups the groups that have not confirmed the change yet
 * @property applied how many live agents the change reached
 */
export type ConfigChanged = ConfigAnswer & { pendingGroups: string[]; applied: AppliedDefaults };

type Sent = { receiver: Address; number: number };

type Needs = Pick<
  ClusterContext,
  "agents" | "configRevisions" | "meta" | "outbox" | "settings" | "tasks" | "unit" | "recordEvent"
>;

export class ConfigService {
  readonly history: ConfigHistory;
  readonly #context: Needs;
  readonly #failover: Pick<Failover, "resume">;
  readonly #heartbeatDefaults: HeartbeatDefaults;

  constructor(context: Needs, failover: Pick<Failover, "resume">) {
    this.#context = context;
    this.#failover = failover;
    this.history = new ConfigHistory(context);
    this.#heartbeatDefaults = new HeartbeatDefaults(context);
  }

  /** A new configuration file is a change too; the first one has to be sent as well. */
  load(nowMs: number): void {
    const { meta, settings } = this.#context;
    if (meta.read("config_sent") === settings.contentMark) return;
    this.history.recordFile(nowMs);
    this.#heartbeatDefaults.apply();
    this.#send();
  }

  get(): ConfigAnswer {
    return this.#context.unit.read(() => this.#answer());
  }

  replace(body: unknown, ifMatch: string | null): Promise<Outcome<ConfigChanged>> {
    return this.#change(replaceConfig, body, ifMatch);
  }

  patch(body: unknown, ifMatch: string | null): Promise<Outcome<ConfigChanged>> {
    return this.#change(patchConfig, body, ifMatch);
  }

  async #change(
    change: typeof patchConfig,
    body: unknown,
    ifMatch: string | null,
  ): Promise<Outcome<ConfigChanged>> {
    const changed = this.#context.unit.commit((nowMs) => this.#store(change, { body, ifMatch }, nowMs));
    if (!changed.ok) return changed;
    const { sent, applied } = changed.value;
    const deliveries = await Promise.all(
      sent.map(async ({ receiver, number }) => ({
        receiver,
        isDelivered: await this.#context.outbox.delivered(receiver, number, DELIVERY_WAIT_MS),
      })),
    );
    const pendingGroups = deliveries
      .filter(({ receiver, isDelivered }) => !isDelivered && receiver.startsWith("group/"))
      .map(({ receiver }) => receiver.slice("group/".length));
    return ok({ ...this.#answer(), pendingGroups, applied });
  }

  #store(
    change: typeof patchConfig,
    { body, ifMatch }: { body: unknown; ifMatch: string | null },
    nowMs: number,
  ): Outcome<{ sent: Sent[]; applied: AppliedDefaults }> {
    const { settings } = this.#context;
    if (ifMatch !== null && !listsTag(ifMatch, settings.etag)) {
      return refuse("config_changed", "the configuration has changed; read it again and repeat the change", {
        etag: settings.etag,
      });
    }
    const changed = change(settings.base, settings.overrides, body);
    if (!changed.ok) return { ok: false, problem: invalidConfig(changed) };
    const { agingMs, config: former } = settings;
    settings.store(changed.config, changed.overrides);
    if (settings.agingMs !== agingMs) this.#context.tasks.store.reorder(settings.agingMs);
    if (!former.failover_config.enabled && settings.config.failover_config.enabled) {
      this.#failover.resume(nowMs);
    }
    const keys = this.history.recordCall(former, nowMs).slice(0, KEYS_IN_EVENT);
    this.#context.recordEvent(
      { type: "config.changed", subject: "config", data: { version: settings.version, keys } },
      nowMs,
    );
    const isNewTimeout =
      former.heartbeat_config.timeout_seconds !== settings.config.heartbeat_config.timeout_seconds;
    // Before the settings: a group that has confirmed these has the timeouts too.
    const applied = isNewTimeout ? this.#heartbeatDefaults.apply() : { agents: 0, keep_own: 0 };
    return ok({ sent: this.#send(), applied });
  }

  #send(): Sent[] {
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

  #answer(): ConfigAnswer {
    const { settings } = this.#context;
    return {
      config: redactConfig(settings.config),
      etag: settings.etag,
      version: settings.version,
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
