/** The Durable Object of a cluster's notifier: passes calls to the service. */
import { DurableObject } from "cloudflare:workers";
import type { IncidentFilter } from "../contract/incident.ts";
import type { NotificationFilter } from "../contract/notification.ts";
import type { MessageBatch } from "../protocol/message-batch.ts";
import type { MessageReceiver } from "../protocol/object-calls.ts";
import { Notifier as Service } from "../services/notifier/notifier.ts";
import type { NotifierEnvironment } from "../services/notifier/notifier-context.ts";
import { baseConfig } from "./bundled-config.ts";
import { type DurableHost, durableHost, nameOf, runAlarm } from "./durable-host.ts";
import { type Env, secretOf } from "./env.ts";
import { transportsOf } from "./transports/transports.ts";

export class Notifier extends DurableObject<Env> implements MessageReceiver {
  readonly #host: DurableHost;
  readonly #service: Service;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const cluster = nameOf(ctx);
    this.#host = durableHost(ctx, env, cluster);
    this.#service = new Service(this.#host, {
      environment: environmentOf(env),
      cluster,
      base: baseConfig(),
    });
  }

  override alarm(): void {
    runAlarm(this.#host.alarm, () => this.#service.onAlarm());
  }

  receive(batch: MessageBatch) {
    return this.#service.receive(batch);
  }

  notifications(filter: NotificationFilter, limit: number, cursor: string | null) {
    return this.#service.notifications(filter, limit, cursor);
  }

  incidents(filter: IncidentFilter, limit: number, cursor: string | null) {
    return this.#service.incidents(filter, limit, cursor);
  }

  redeliver(id: string) {
    return this.#service.redeliver(id);
  }

  test() {
    return this.#service.test();
  }
}

function environmentOf(env: Env): NotifierEnvironment {
  return {
    transports: transportsOf(env),
    secret: (name) => secretOf(env, name),
    allowLocalTargets: env.ALLOW_LOCAL_TARGETS === "true",
    publicUrl: env.PUBLIC_URL || null,
  };
}
