/**
 * Waiting for an object without keeping it awake: the Worker holds the caller's request and
 * a hibernatable socket to the object, which rings it when there is something new. A ring
 * is a hint; whoever is woken reads the authority again.
 */

export type Waiter = {
  /** Resolves with true at a ring or when the object went away, with false after the time. */
  rung(limitMs: number): Promise<boolean>;
  /** The object went away: nothing rings any more. */
  isClosed(): boolean;
  close(): void;
};

/** Opens the line first; read the authority after this, so that no ring falls in between. */
export async function waiterOn(
  object: { fetch(url: string, init: RequestInit): Promise<Response> },
  topic: string,
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
