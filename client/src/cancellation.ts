/** Waiting: pauses that end early when told to, and how long to wait before another try. */

/** Resolves after the time, or at once when the signal is aborted; never rejects. */
export function sleep(ms: number, signal?: AbortSignal | null): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    // Timers cut off fractions: whoever looks at the clock then would find the time not yet over.
    const timer = setTimeout(done, Math.max(0, Math.ceil(ms)));
    signal?.addEventListener("abort", done);
  });
}

/** Back-off after so many tries in vain: doubling, and half of it by chance, so that many do not come as one. */
export function backoffMs(tries: number, firstMs: number, longestMs: number): number {
  return Math.min(longestMs, firstMs * 2 ** Math.min(tries, 30)) * (0.5 + Math.random() / 2);
}

/** An abort controller that also ends with any of the signals; `dispose` lets go of those. */
export function linked(
  ...signals: (AbortSignal | null | undefined)[]
): AbortController & { dispose(): void } {
  const controller = new AbortController();
  const lettingGo = signals.map((signal) => {
    const follow = () => controller.abort(signal?.reason);
    if (signal?.aborted) follow();
    signal?.addEventListener("abort", follow);
    return () => signal?.removeEventListener("abort", follow);
  });
  return Object.assign(controller, {
    dispose: () => {
      for (const letGo of lettingGo) letGo();
    },
  });
}

/** A signal that is aborted after the time, or with any of the signals; `dispose` lets go of those. */
export function limited(ms: number, ...signals: (AbortSignal | null | undefined)[]) {
  const limit = linked(...signals);
  const timer = setTimeout(() => limit.abort(), ms);
  const dispose = () => {
    clearTimeout(timer);
    limit.dispose();
  };
  return { signal: limit.signal, dispose };
}

/** The promise, or a rejection with the signal's reason, whichever comes first. */
export async function orAborted<Value>(promise: Promise<Value>, signal?: AbortSignal | null): Promise<Value> {
  const wait = linked(signal);
  const aborted = new Promise<never>((_, reject) => {
    if (wait.signal.aborted) reject(wait.signal.reason);
    wait.signal.addEventListener("abort", () => reject(wait.signal.reason));
  });
  return Promise.race([promise, aborted]).finally(wait.dispose);
}
