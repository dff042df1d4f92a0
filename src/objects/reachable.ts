/**
 * Since when this process answers requests. Under workerd the Worker and its objects share
 * one isolate, so an object that wakes late after a restart still learns when its agents
 * could reach it again. Where they share none, an object counts from its own start.
 */

let sinceMs: number | null = null;

/** To be called at each request; only the first counts. */
export function noteReachable(): void {
  sinceMs ??= Date.now();
}

export function reachableSinceMs(): number | null {
  return sinceMs;
}
