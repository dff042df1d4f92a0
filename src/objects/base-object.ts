/** What the Durable Objects that callers wait for have in common: an alarm that never throws, long polls, a count of rows. */
import { DurableObject } from "cloudflare:workers";
import { closeSocket } from "./agent-sockets.ts";
import { type DurableHost, durableHost, runAlarm } from "./durable-host.ts";
import type { Env } from "./env.ts";
import { acceptTopicWaiter } from "./topic-waiters.ts";

export type ServiceFactory<Service> = { cluster: string; create(host: DurableHost): Service };

/** How the platform describes the end of a socket. */
export type SocketEnd = [code: number, reason: string, wasClean: boolean];

export abstract class BaseObject<
  Service extends { onAlarm(scheduledMs: number | null): void },
> extends DurableObject<Env> {
  protected readonly host: DurableHost;
  protected readonly service: Service;

  /** @param create makes the service, once its host is there */
  constructor(ctx: DurableObjectState, env: Env, { cluster, create }: ServiceFactory<Service>) {
    super(ctx, env);
    this.host = durableHost(ctx, env, cluster);
    this.service = create(this.host);
  }

  override fetch(request: Request): Response {
    return acceptTopicWaiter(this.ctx, request);
  }

  override alarm(info?: AlarmInvocationInfo): void {
    runAlarm(this.host.alarm, () => this.service.onAlarm(info?.scheduledTime ?? null));
  }

  override webSocketClose(socket: WebSocket, ..._end: SocketEnd): void {
    closeSocket(socket);
  }

  /** Rows written by this instance, set alarms included, as the platform bills them. */
  rowsWritten(): number {
    return this.host.sql.rowsWritten + this.host.alarm.timesSet;
  }
}
