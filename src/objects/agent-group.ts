/** The Durable Object of an agent group: passes calls and socket events to the service. */
import type { FailureReport, Heartbeat, HeartbeatBatch } from "../contract/agent.ts";
import type { AgentPrincipal, Principal } from "../domain/principal.ts";
import type { MessageBatch } from "../protocol/message-batch.ts";
import type { AgentWakeup, GroupCalls } from "../protocol/object-calls.ts";
import { AgentGroup as Service } from "../services/agent-group/agent-group.ts";
import type { GroupName } from "../services/agent-group/group-context.ts";
import type { LockCall } from "../services/agent-group/locks/lock-service.ts";
import type { OutgoingMessage } from "../services/agent-group/mailbox/mailbox-service.ts";
import { BaseObject, type SocketEnd } from "./base-object.ts";
import { nameOf } from "./durable-host.ts";
import type { Env } from "./env.ts";
import { CONNECT_PATH, partsOfGroupName } from "./object-names.ts";

export class AgentGroup extends BaseObject<Service> implements GroupCalls {
  readonly #name: GroupName;

  constructor(ctx: DurableObjectState, env: Env) {
    const name = partsOfGroupName(nameOf(ctx));
    super(ctx, env, { cluster: name.cluster, create: (host) => new Service(host, name) });
    this.#name = name;
  }

  override fetch(request: Request): Response {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== CONNECT_PATH) return super.fetch(request);
    const connected = this.service.connect({
      role: "agent",
      ...this.#name,
      agentId: searchParams.get("agent") ?? "",
      incarnation: Number(searchParams.get("incarnation")),
    });
    if (!connected.ok) return Response.json(connected.problem, { status: 409 });
    const response = this.host.sockets.accept(connected.value);
    this.service.connected(connected.value);
    return response;
  }

  override webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): void {
    const connection = this.host.sockets.recordFrame(socket);
    if (connection !== null) this.service.receiveFrames(connection, data);
  }

  override webSocketClose(socket: WebSocket, ...end: SocketEnd): void {
    const [, , wasClean] = end;
    const connection = this.host.sockets.connectionOf(socket);
    if (connection !== null) this.service.disconnected(connection, wasClean);
    super.webSocketClose(socket, ...end);
  }

  override webSocketError(socket: WebSocket): void {
    const connection = this.host.sockets.connectionOf(socket);
    if (connection !== null) this.service.disconnected(connection, false);
  }

  receive(batch: MessageBatch) {
    return this.service.receive(batch);
  }

  wakeAgent(wakeup: AgentWakeup) {
    return this.service.wakeAgent(wakeup);
  }

  heartbeat(agentId: string, heartbeat: Heartbeat, principal: Principal) {
    return this.service.heartbeat(agentId, heartbeat, principal);
  }

  heartbeatAll(beats: HeartbeatBatch["agents"]) {
    return this.service.heartbeatAll(beats);
  }

  sessionState(agentId: string) {
    return this.service.sessionState(agentId);
  }

  signOfLife(principal: AgentPrincipal) {
    return this.service.signOfLife(principal);
  }

  checkSession(principal: AgentPrincipal) {
    return this.service.checkSession(principal);
  }

  recordTaskListRead(agentId: string, assignedTasks: number) {
    return this.service.recordTaskListRead(agentId, assignedTasks);
  }

  liveness(agentIds: readonly string[]) {
    return this.service.liveness(agentIds);
  }

  unregister(agentId: string, principal: Principal) {
    return this.service.unregister(agentId, principal);
  }

  reportFailure(agentId: string, report: FailureReport) {
    return this.service.reportFailure(agentId, report);
  }

  acquireLock(resource: string, call: LockCall, principal: Principal) {
    return this.service.locks.acquire(resource, call, principal);
  }

  leaveLockQueue(resource: string, agentId: string, waitsUntilMs: number) {
    return this.service.locks.leaveQueue(resource, agentId, waitsUntilMs);
  }

  renewLock(resource: string, fencingToken: number, principal: Principal) {
    return this.service.locks.renew(resource, fencingToken, principal);
  }

  releaseLock(resource: string, fencingToken: number, principal: Principal) {
    return this.service.locks.release(resource, fencingToken, principal);
  }

  breakLock(resource: string) {
    return this.service.locks.breakLock(resource);
  }

  lock(resource: string) {
    return this.service.locks.get(resource);
  }

  locks(limit: number, afterResource: string | null) {
    return this.service.locks.list(limit, afterResource);
  }

  locksReleasedByFailure(agentIds: readonly string[], limit: number) {
    return this.service.locks.releasedByFailure(agentIds, limit);
  }

  lockedCount() {
    return this.service.locks.lockedCount();
  }

  sendMessage(agentId: string, message: OutgoingMessage) {
    return this.service.messages.send(agentId, message);
  }

  messages(agentId: string, limit: number, cursor: string | null) {
    return this.service.messages.list(agentId, limit, cursor);
  }

  acknowledgeMessage(agentId: string, messageId: string, principal: Principal) {
    return this.service.messages.acknowledge(agentId, messageId, principal);
  }
}
