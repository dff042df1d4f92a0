/** The Durable Object of an agent group: a shell over the service. */
import { DurableObject } from "cloudflare:workers";
import type { FailureReport, Heartbeat } from "../contract/agent.ts";
import type { LockAcquisition } from "../contract/lock.ts";
import { AgentGroup as Service } from "../services/agent-group/agent-group.ts";
import type { Caller } from "../services/agent-group/lock-desk.ts";
import type { OutgoingMessage } from "../services/agent-group/message-desk.ts";
import type { Doorbell, Parcel } from "../services/host.ts";
import { acceptWaiter, type DurableHost, durableHost, nameOf, runAlarm } from "./durable-host.ts";
import type { Env } from "./env.ts";
import { partsOfGroupName } from "./names.ts";

export class AgentGroup extends DurableObject<Env> {
  readonly #host: DurableHost;
  readonly #service: Service;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { cluster, group } = partsOfGroupName(nameOf(ctx));
    this.#host = durableHost(ctx, env, cluster);
    this.#service = new Service(this.#host, group);
  }

  override fetch(request: Request): Response {
    return acceptWaiter(this.ctx, request);
  }

  override alarm(info?: AlarmInvocationInfo): void {
    runAlarm(this.#host.alarm, () => this.#service.onAlarm(info?.scheduledTime ?? null));
  }

  override webSocketClose(socket: WebSocket): void {
    socket.close();
  }

  /** Rows written by this instance, set alarms included: what the platform bills. */
  rowsWritten(): number {
    return this.#host.sql.rowsWritten + this.#host.alarm.timesSet;
  }

  receive(parcel: Parcel) {
    return this.#service.receive(parcel);
  }

  ringDoorbell(doorbell: Doorbell) {
    return this.#service.ringDoorbell(doorbell);
  }

  heartbeat(agentId: string, incarnation: number, heartbeat: Heartbeat) {
    return this.#service.heartbeat(agentId, incarnation, heartbeat);
  }

  signOfLife(agentId: string, incarnation: number) {
    return this.#service.signOfLife(agentId, incarnation);
  }

  taskListRead(agentId: string, assignedTasks: number) {
    return this.#service.taskListRead(agentId, assignedTasks);
  }

  liveness(agentIds: readonly string[]) {
    return this.#service.liveness(agentIds);
  }

  unregister(agentId: string, incarnation: number | null) {
    return this.#service.unregister(agentId, incarnation);
  }

  reportFailure(agentId: string, report: FailureReport) {
    return this.#service.reportFailure(agentId, report);
  }

  acquire(resource: string, incarnation: number | null, request: LockAcquisition) {
    return this.#service.locks.acquire(resource, incarnation, request);
  }

  renew(resource: string, fencingToken: number, caller: Caller | null) {
    return this.#service.locks.renew(resource, fencingToken, caller);
  }

  release(resource: string, fencingToken: number, caller: Caller | null) {
    return this.#service.locks.release(resource, fencingToken, caller);
  }

  breakLock(resource: string) {
    return this.#service.locks.breakLock(resource);
  }

  lock(resource: string) {
    return this.#service.locks.get(resource);
  }

  locks(limit: number, afterResource: string | null) {
    return this.#service.locks.list(limit, afterResource);
  }

  lockedCount() {
    return this.#service.locks.lockedCount();
  }

  sendMessage(agentId: string, message: OutgoingMessage) {
    return this.#service.messages.send(agentId, message);
  }

  messages(agentId: string, limit: number, cursor: string | null) {
    return this.#service.messages.list(agentId, limit, cursor);
  }

  acknowledgeMessage(agentId: string, incarnation: number | null, messageId: string) {
    return this.#service.messages.acknowledge(agentId, incarnation, messageId);
  }
}
