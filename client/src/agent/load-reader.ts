/** Reads the load of an agent from its program. An error there never prevents a heartbeat. */
import type { Load } from "../wire.ts";
import type { Emitter } from "./agent-events.ts";

/** Called at each heartbeat; undefined if there is no load to send. */
export type ReadLoad = () => Load | undefined;

/** Values out of range become the nearest bound. An exception, or a value that is no number, is an `error` event. */
export function loadReader(load: (() => Load) | undefined, emitter: Emitter): ReadLoad {
  return () => {
    try {
      const read = load?.();
      return read === undefined ? undefined : { cpu: bounded(read.cpu), memory: bounded(read.memory) };
    } catch (error) {
      emitter.emit("error", { error });
      return undefined;
    }
  };
}

function bounded(value: number): number {
  if (!Number.isFinite(value)) throw new TypeError(`load must be a number from 0 to 1, not ${value}`);
  return Math.min(1, Math.max(0, value));
}
