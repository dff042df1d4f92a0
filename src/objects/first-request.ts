/**
 * Since when this process answers requests. On one machine the Worker and its objects share
 * one isolate and start together, so an object that wakes late after a restart still learns
 * when its agents could reach it again. On Cloudflare an object counts from its own start.
 */

let sinceMs: number | null = null;

/** To be called at each request; only the first counts. */
export function recordRequest(): void {
  sinceMs ??= Date.now();
}

export function reachableSinceMs(): number | null {
  return sinceMs;
}
