/**
 * The time of this process's first request. On one machine the Worker and its objects share one isolate and start
 * together, so an object that starts late after a restart still learns since when its agents can reach it. On Cloudflare
 * an object counts from its own start.
 */

let firstRequestMs: number | null = null;

/** To be called at each request; only the first counts. */
export function recordRequest(): void {
  firstRequestMs ??= Date.now();
}

export function reachableSinceMs(): number | null {
  return firstRequestMs;
}
