/** The events that an agent reports to its program. */
import type { AgentEndedError, FailoverError } from "../errors.ts";
import type { Task } from "../wire.ts";

/** The content of each event, by its name. */
export type AgentEvents = {
  /** A new incarnation of this agent is registered. */
  registered: { incarnation: number };
  /** The agent is in contact, over a socket or over HTTP. */
  connected: { transport: "socket" | "http" };
  /** The coordinator is unreachable; handlers continue. Without a listener, the first event is printed. */
  disconnected: { reason: string };
  /** No contact for the whole timeout: this agent may have been declared failed. */
  outOfTouch: { seconds: number };
  /** A running task no longer belongs to this agent; its `signal` is aborted. */
  revoked: { task: Task; reason: string };
  /** The coordinator accepted the report of a task. */
  reported: { task: Task };
  /** A result came too late. `error.evidence` describes the current attempt. */
  lateResult: { task: Task; error: FailoverError };
  /** The agent is drained (`finish`, `move`), or gets tasks again (null). */
  drain: { mode: "move" | "finish" | null; deadline_at: string | null };
  /** A refused call, or an exception in a message handler. The agent continues. Printed without a listener. */
  error: { error: unknown };
  /** The agent has stopped. `error`: the coordinator has ended it; null: it has unregistered. */
  stopped: { error: AgentEndedError | null };
};

export type Listener<Name extends keyof AgentEvents> = (event: AgentEvents[Name]) => void;

export class Emitter {
  /** By the last event; null before the first. */
  #isConnected: boolean | null = null;
  readonly #listeners = new Map<string, Set<(event: never) => void>>();

  /** @returns removes the listener */
  listen<Name extends keyof AgentEvents>(name: Name, listener: Listener<Name>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  isHeard(name: keyof AgentEvents): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  /** Listeners run in microtasks: the exception of one affects neither the agent nor other listeners. */
  emit<Name extends keyof AgentEvents>(name: Name, event: AgentEvents[Name]): void {
    const isHeard = this.isHeard(name);
    if (name === "error" && !isHeard) console.error((event as AgentEvents["error"]).error);
    if (name === "disconnected" && !isHeard && this.#isConnected !== false) {
      console.warn(
        `no contact with the coordinator, trying again: ${(event as AgentEvents["disconnected"]).reason}`,
      );
    }
    if (name === "disconnected" || name === "connected") this.#isConnected = name === "connected";
    for (const listener of this.#listeners.get(name) ?? []) {
      queueMicrotask(() => (listener as Listener<Name>)(event));
    }
  }
}
