/**
 * Waiting for an object without keeping it awake: the Worker holds the caller's request and
 * a hibernatable socket to the object, which rings it when there is something new. A ring
 * is a hint; whoever is woken reads the authority again.
 */

export type Waiter = {
  /** Resolves with true at a ring or when the object or the caller went away, with false after the time. */
  rung(limitMs: number): Promise<boolean>;
  /** The object went away: nothing rings any more. */
  isClosed(): boolean;
  close(): void;
};

/**
 * Waits on behalf of a caller whose request has this signal.
 * Opens the line first; read the authority after this, so that no ring falls in between.
 */
export async function waiterOn(
  object: { fetch(url: string, init: RequestInit): Promise<Response> },
  topic: string,
  caller: AbortSignal,
): Promise<Waiter> {
  const url = `https://object/wait?topic=${encodeURIComponent(topic)}`;
  const { webSocket } = await object.fetch(url, { headers: { Upgrade: "websocket" } });
  if (webSocket === null) throw new Error("the object did not accept a waiter");
  let isRung = false;
  let wake = () => {};
  const ring = () => {
    isRung = true;
    wake();
  };
  webSocket.addEventListener("message", ring);
  let isClosed = false;
  const end = () => {
    isClosed = true;
    ring();
  };
  webSocket.addEventListener("close", end);
  webSocket.addEventListener("error", end);
  caller.addEventListener("abort", ring);
  webSocket.accept();
  return {
    rung: (limitMs) =>
      new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          wake = () => {};
          resolve(isRung);
          isRung = false;
        };
        const timer = setTimeout(done, limitMs);
        wake = done;
        if (isRung) done();
      }),
    isClosed: () => isClosed,
    close: () => webSocket.close(),
  };
}

export type Wait = {
  /** Gives a fresh stub: one that has failed stays broken. */
  object: () => Parameters<typeof waiterOn>[0];
  topic: string;
  limitMs: number;
  caller: AbortSignal;
  /** Run after each wait, before reading again. */
  woken?: () => Promise<unknown>;
};

/** Reads until it is worth answering, the time is over, or the caller has gone; what was read last is returned. */
export async function readUntil<Value>(
  read: () => Promise<Value>,
  isWorthAnswering: (value: Value) => boolean,
  { object, topic, limitMs, caller, woken }: Wait,
): Promise<Value> {
  let value = await read();
  if (isWorthAnswering(value) || limitMs <= 0) return value;
  const untilMs = Date.now() + limitMs;
  let waiter = await waiterOn(object(), topic, caller);
  try {
    value = await read();
    while (!isWorthAnswering(value) && Date.now() < untilMs && !caller.aborted) {
      await waiter.rung(untilMs - Date.now());
      // The object was replaced, and the new one knows nothing of this line.
      if (waiter.isClosed() && !caller.aborted) waiter = await waiterOn(object(), topic, caller);
      await woken?.();
      value = await read();
    }
    return value;
  } finally {
    waiter.close();
  }
}
