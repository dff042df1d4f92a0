/** The Durable Object of a cluster's notifier: a shell over the service. */
import { DurableObject } from "cloudflare:workers";
import type { Parcel } from "../services/host.ts";
import { Notifier as Service } from "../services/notifier/notifier.ts";
import { baseConfig } from "./base-config.ts";
import { durableHost, nameOf } from "./durable-host.ts";
import type { Env } from "./env.ts";

export class Notifier extends DurableObject<Env> {
  readonly #service: Service;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#service = new Service(durableHost(ctx, env, nameOf(ctx)), baseConfig().failure_notification);
  }

  receive(parcel: Parcel) {
    return this.#service.receive(parcel);
  }

  notifications(limit: number, cursor: string | null) {
    return this.#service.notifications(limit, cursor);
  }
}
