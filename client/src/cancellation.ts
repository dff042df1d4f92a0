/** Waits that end early when an `AbortSignal` is aborted, and signals that combine others. */

type MaybeSignal = AbortSignal | null | undefined;

/** Resolves after the time, or at once when the signal is aborted; never rejects. */
export function sleep(ms: number, signal?: MaybeSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    // Timers cut off fractions: a caller that then reads the clock would find that time is left.
    const timer = setTimeout(done, Math.max(0, Math.ceil(ms)));
    signal?.addEventListener("abort", done);
  });
}

/** An abort controller that any of the signals aborts too; `dispose` removes its listeners from them. */
export function linkedAbort(...signals: MaybeSignal[]): AbortController & { dispose(): void } {
  const controller = new AbortController();
  const removals = signals.map((signal) => {
    const follow = () => controller.abort(signal?.reason);
    if (signal?.aborted) follow();
    signal?.addEventListener("abort", follow);
    return () => signal?.removeEventListener("abort", follow);
  });
  return Object.assign(controller, {
    dispose: () => {
      for (const remove of removals) remove();
    },
  });
}

/**
 * A signal that is aborted after the time, with an error that says so, or with the given signal; `dispose` removes
 * timer and listener.
 */
export function timeLimit(ms: number, given?: MaybeSignal) {
  const limit = linkedAbort(given);
  const timer = setTimeout(() => limit.abort(new Error(`no response within ${ms / 1000} s`)), ms);
  const dispose = () => {
    clearTimeout(timer);
    limit.dispose();
  };
  return { signal: limit.signal, dispose };
}

/** Settles as the promise does, or rejects with the signal's reason if that is aborted first. */
export async function orAborted<Value>(promise: Promise<Value>, signal?: MaybeSignal): Promise<Value> {
  const wait = linkedAbort(signal);
  const aborted = new Promise<never>((_, reject) => {
    if (wait.signal.aborted) reject(wait.signal.reason);
    wait.signal.addEventListener("abort", () => reject(wait.signal.reason));
  });
  return Promise.race([promise, aborted]).finally(wait.dispose);
}
