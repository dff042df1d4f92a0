/**
 * The frames pushed on one connection that the agent has not acted upon. The window bounds them, so that no more is pushed
 * than an agent gets done. An agent that acts upon a frame has read everything up to that frame.
 */
import type { SentFrame } from "./frame-sender.ts";

/** In UTF-16 units. When so much is in flight, the next frame waits. */
const WINDOW = 1024 * 1024;

export class SendWindow {
  readonly #inFlight = new Map<string, SentFrame>();
  #characters = 0;

  add(key: string, sent: SentFrame): void {
    this.remove(key);
    this.#inFlight.set(key, sent);
    this.#characters += sent.characters;
  }

  /**
   * The agent acted upon the frame, or the frame concerns the agent no longer.
   * @returns up to where the agent has read if it acted upon the frame; null if the frame was not in flight
   */
  remove(key: string): number | null {
    const sent = this.#inFlight.get(key);
    if (sent === undefined) return null;
    this.#inFlight.delete(key);
    this.#characters -= sent.characters;
    return sent.through;
  }

  /** Whether another frame may be pushed, of any length. */
  get hasRoom(): boolean {
    return this.#characters < WINDOW;
  }

  /** Whether so much room is free that pushing more is worth a look. */
  get isHalfFree(): boolean {
    return this.#characters <= WINDOW / 2;
  }
}
