/**
 * What an agent gets over its socket without asking: tasks given to it and taken from it, its messages, its drain. When an
 * agent connects, everything that waits for it is pushed. What was pushed on a connection is in memory alone; whether
 * the connection is backpressured is stored with its socket. So after an eviction a frame may be pushed twice, and none
 * is lost.
 */

import { instantOrNull } from "../../../contract/instant.ts";
import type { Revocation } from "../../../protocol/object-calls.ts";
import type { Session } from "../liveness/sessions.ts";
import { MessagePushes } from "./message-pushes.ts";
import type { PushContext } from "./push-recipient.ts";
import { TaskPushes } from "./task-pushes.ts";
import { UnstartedTaskReader } from "./unstarted-task-reader.ts";

type ConnectionPushes = { tasks: TaskPushes; messages: MessagePushes };

export class AgentPushes {
  readonly #context: PushContext;
  readonly #reader: UnstartedTaskReader;
  readonly #byConnection = new Map<number, ConnectionPushes>();

  constructor(context: PushContext) {
    this.#context = context;
    this.#reader = new UnstartedTaskReader(context.host);
  }

  /** The agent has connected: pushes everything that waits for it. */
  pushAll(agentId: string): void {
    if (this.#session(agentId)?.drainMode != null) this.pushDrain(agentId);
    this.#withPushes(agentId, ({ tasks, messages }) => {
      messages.pushAll();
      tasks.pushNew();
    });
  }

  /** The agent's task list changed. */
  tasksChanged(agentId: string, revoked: readonly Revocation[]): void {
    this.#withPushes(agentId, ({ tasks }) => {
      tasks.revoke(revoked);
      tasks.pushNew();
    });
  }

  /** The agent reports on an attempt over its socket. */
  attemptReported(agentId: string, taskId: string, attempt: number): void {
    this.#withPushes(agentId, ({ tasks }) => tasks.attemptReported(taskId, attempt));
  }

  /** A message was added to the agent's mailbox. */
  messageAdded(agentId: string, number: number): void {
    this.#withPushes(agentId, ({ messages }) => messages.messageAdded(number));
  }

  /** A message was removed from the agent's mailbox. */
  messageRemoved(agentId: string, messageId: string): void {
    this.#withPushes(agentId, ({ messages }) => messages.messageRemoved(messageId));
  }

  /** The agent begins or ends to drain. */
  pushDrain(agentId: string): void {
    const session = this.#session(agentId);
    if (session === undefined || session.connection === null) return;
    this.#context.frames.push(session.connection, {
      type: "drain",
      mode: session.drainMode,
      deadline_at: instantOrNull(session.drainDeadlineMs),
    });
  }

  forget(connection: number): void {
    this.#byConnection.delete(connection);
  }

  #session(agentId: string): Session | undefined {
    return this.#context.unit.read(() => this.#context.sessions.find(agentId));
  }

  /** Runs with the pushes of the agent's present connection, if there is one. */
  #withPushes(agentId: string, run: (pushes: ConnectionPushes) => void): void {
    const connection = this.#session(agentId)?.connection ?? null;
    if (connection === null) return;
    const known = this.#byConnection.get(connection);
    const pushes = known ?? this.#pushesTo(agentId, connection);
    const { sockets } = this.#context.host;
    // Backpressure of an earlier instance: which frames wait is not known any more.
    if (known === undefined && sockets.isBackpressured(connection)) {
      pushes.messages.pushAll();
      pushes.tasks.pushNew();
    }
    run(pushes);
    this.#storeBackpressure(connection);
  }

  #pushesTo(agentId: string, connection: number): ConnectionPushes {
    const recipient = { agentId, connection, storeBackpressure: () => this.#storeBackpressure(connection) };
    const pushes = {
      tasks: new TaskPushes(this.#context, recipient, this.#reader),
      messages: new MessagePushes(this.#context, recipient),
    };
    this.#byConnection.set(connection, pushes);
    return pushes;
  }

  /** Stores with the socket whether frames wait, for an instance to come. */
  #storeBackpressure(connection: number): void {
    const pushes = this.#byConnection.get(connection);
    if (pushes === undefined) return;
    const { sockets } = this.#context.host;
    const isBackpressured = pushes.tasks.isBackpressured || pushes.messages.isBackpressured;
    if (sockets.isBackpressured(connection) === isBackpressured) return;
    sockets.setBackpressured(connection, isBackpressured);
  }
}
