/**
 * What an agent is told over its socket without asking: tasks given to it and taken from it, its messages, its
 * drain. Whatever waits is pushed at once when it connects. What was pushed on a connection is in memory alone; that
 * something is held back is kept with the socket. So after an eviction something may be pushed twice, and nothing is
 * forgotten.
 */

import { instantOrNull } from "../../../contract/instant.ts";
import type { Revocation } from "../../../protocol/object-calls.ts";
import type { GroupContext } from "../group-context.ts";
import type { Session } from "../liveness/sessions.ts";
import { MessagePushes } from "./message-pushes.ts";
import { TaskPushes } from "./task-pushes.ts";
import { UnstartedTaskReader } from "./unstarted-task-reader.ts";

/** Whom something is pushed to. */
export type Recipient = {
  readonly agentId: string;
  readonly connection: number;
  /** To be called after an event of its own, in which something may have been held back, or let go. */
  settle(): void;
};

type Delivery = { tasks: TaskPushes; messages: MessagePushes };

export class AgentPushes {
  readonly #context: GroupContext;
  readonly #reads: UnstartedTaskReader;
  readonly #byConnection = new Map<number, Delivery>();

  constructor(context: GroupContext) {
    this.#context = context;
    this.#reads = new UnstartedTaskReader(context.host);
  }

  /** The agent has just connected: everything that waits for it. */
  pushAll(agentId: string): void {
    if (this.#session(agentId)?.drainMode != null) this.pushDrain(agentId);
    this.#deliver(agentId, ({ tasks, messages }) => {
      messages.begin();
      tasks.read();
    });
  }

  /** Its task list changed. */
  tasksChanged(agentId: string, revoked: readonly Revocation[]): void {
    this.#deliver(agentId, ({ tasks }) => {
      tasks.revoke(revoked);
      tasks.read();
    });
  }

  /** It reports on an attempt over its socket. */
  attemptReported(agentId: string, taskId: string, attempt: number): void {
    this.#deliver(agentId, ({ tasks }) => tasks.reported(taskId, attempt));
  }

  /** A message came into its box. */
  messageAdded(agentId: string, number: number): void {
    this.#deliver(agentId, ({ messages }) => messages.came(number));
  }

  /** A message is out of its box. */
  messageRemoved(agentId: string, messageId: string): void {
    this.#deliver(agentId, ({ messages }) => messages.acknowledged(messageId));
  }

  /** Whether it drains changed. */
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

  /** Over its present connection, if it has one. */
  #deliver(agentId: string, push: (delivery: Delivery) => void): void {
    const connection = this.#session(agentId)?.connection ?? null;
    if (connection === null) return;
    const known = this.#byConnection.get(connection);
    const delivery = known ?? this.#deliveryTo(agentId, connection);
    const { sockets: lines } = this.#context.host;
    // An earlier instance held something back, and nobody knows what.
    if (known === undefined && lines.isBackpressured(connection)) {
      delivery.messages.begin();
      delivery.tasks.read();
    }
    push(delivery);
    this.#settle(connection);
  }

  #deliveryTo(agentId: string, connection: number): Delivery {
    const recipient = { agentId, connection, settle: () => this.#settle(connection) };
    const delivery = {
      tasks: new TaskPushes(this.#context, recipient, this.#reads),
      messages: new MessagePushes(this.#context, recipient),
    };
    this.#byConnection.set(connection, delivery);
    return delivery;
  }

  /** Keeps with the socket whether something is held back, for an instance to come. */
  #settle(connection: number): void {
    const delivery = this.#byConnection.get(connection);
    if (delivery === undefined) return;
    const { sockets: lines } = this.#context.host;
    const isHeldBack = delivery.tasks.isHeldBack || delivery.messages.isHeldBack;
    if (lines.isBackpressured(connection) !== isHeldBack) lines.setBackpressured(connection, isHeldBack);
  }
}
