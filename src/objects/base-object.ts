/**
 * What the Durable Objects have in common that others wait for: an alarm that never throws, lines for those who
 * wait, and a count of what they cost.
 */
import { DurableObject } from "cloudflare:workers";
import { closeSocket } from "./agent-sockets.ts";
import { acceptTopicWaiter, type DurableHost, durableHost, runAlarm } from "./durable-host.ts";
import type { Env } from "./env.ts";

export abstract class BaseObject<
  Service extends { onAlarm(scheduledMs: number | null): void },
> extends DurableObject<Env> {
  protected readonly host: DurableHost;
  protected readonly service: Service;

  constructor(ctx: DurableObjectState, env: Env, cluster: string, create: (host: DurableHost) => Service) {
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

  override webSocketClose(socket: WebSocket, _code: number, _reason: string, _wasClean: boolean): void {
    closeSocket(socket);
  }

  /** Rows written by this instance, set alarms included: what the platform bills. */
  rowsWritten(): number {
    return this.host.sql.rowsWritten + this.host.alarm.timesSet;
  }
}
