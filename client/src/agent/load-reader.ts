/** The load of an agent, as its program tells it at each heartbeat. */

import type { Load } from "../wire.ts";
import type { Emitter } from "./agent-events.ts";

/** Asked at each heartbeat; undefined if there is nothing to tell. */
export type AskLoad = () => Load | undefined;

/** A heartbeat is sent whatever becomes of the load: one that cannot be told is an `error`, one out of range its nearest bound. */
export function askLoad(load: (() => Load) | undefined, emitter: Emitter): AskLoad {
  return () => {
    try {
      const told = load?.();
      return told === undefined ? undefined : { cpu: bounded(told.cpu), memory: bounded(told.memory) };
    } catch (error) {
      emitter.emit("error", { error });
      return undefined;
    }
  };
}

function bounded(part: number): number {
  if (!Number.isFinite(part)) throw new TypeError(`load: 0 to 1 is needed, not ${part}`);
  return Math.min(1, Math.max(0, part));
}
