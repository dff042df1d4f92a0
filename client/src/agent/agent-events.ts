/** What an agent tells the program it is part of. */
import type { FailoverError } from "../errors.ts";
import type { Task } from "../wire.ts";

/** By name, what each event carries. */
export type AgentEvents = {
  /** A new incarnation of this agent lives. */
  registered: { incarnation: number };
  /** In touch: by a socket, or by asking over HTTP. */
  connected: { transport: "socket" | "http" };
  /** Out of reach for now; what runs goes on. Printed, the first time, if nobody listens. */
  disconnected: { reason: string };
  /** Not in touch for the whole timeout: by now the coordinator may have declared this agent failed. */
  outOfTouch: { seconds: number };
  /** A running task is no longer this agent's; its `signal` is aborted. */
  revoked: { task: Task; reason: string };
  /** A task of this agent ended as it said: completed, failed, or waiting to be tried again. */
  reported: { task: Task };
  /** A result came too late for its attempt. `error` says what is current; the coordinator may have kept the result. */
  lateResult: { task: Task; error: FailoverError };
  /** It is drained (`finish`, `move`), by an operator or since it stops; or it takes tasks again (null). */
  drain: { mode: "move" | "finish" | null; deadline_at: string | null };
  /** What the agent goes on after: a refusal, a handler of messages that threw. Printed if nobody listens. */
  error: { error: unknown };
  /** Left in good order. */
  stopped: Record<never, never>;
};

export type Listener<Name extends keyof AgentEvents> = (event: AgentEvents[Name]) => void;

export class Emitter {
  /** As was last told; null before. */
  #isInTouch: boolean | null = null;
  readonly #listeners = new Map<string, Set<(event: never) => void>>();

  /** @returns ends it */
  listen<Name extends keyof AgentEvents>(name: Name, listener: Listener<Name>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** A listener that throws does so by itself: the agent goes on. An error that nobody listens for is printed. */
  emit<Name extends keyof AgentEvents>(name: Name, event: AgentEvents[Name]): void {
    const listeners = this.#listeners.get(name);
    if (name === "error" && !listeners?.size) console.error((event as AgentEvents["error"]).error);
    if (name === "disconnected" && !listeners?.size && this.#isInTouch !== false) {
      console.warn(`out of reach, and trying again: ${(event as AgentEvents["disconnected"]).reason}`);
    }
    if (name === "disconnected" || name === "connected") this.#isInTouch = name === "connected";
    for (const listener of listeners ?? []) {
      queueMicrotask(() => (listener as Listener<Name>)(event));
    }
  }
}
