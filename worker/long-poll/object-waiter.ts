/**
 * Waits for something to happen in an object without keeping the object awake: the Worker opens a hibernatable socket
 * to the object, and the object wakes all sockets of a topic. A wake-up is a hint; the caller then reads again.
 */

/** An object that accepts waiters, see acceptWaiter in src/objects/durable-host.ts. */
export type WaitableObject = { fetch(url: string, init: RequestInit): Promise<Response> };

export type ObjectWaiter = {
  /** Resolves with true at a wake-up or when the object or the caller is gone, with false after the time. */
  woken(limitMs: number): Promise<boolean>;
  /** The socket to the object is closed: no wake-up comes any more. */
  isClosed(): boolean;
  close(): void;
};

/**
 * Opens the socket first. Read the object after this, so that no change falls between the read and the wait.
 * @param caller aborted when the client is gone
 */
export async function waitOn(
  object: WaitableObject,
  topic: string,
  caller: AbortSignal,
): Promise<ObjectWaiter> {
  const url = `https://object/wait?topic=${encodeURIComponent(topic)}`;
  const { webSocket } = await object.fetch(url, { headers: { Upgrade: "websocket" } });
  if (webSocket === null) throw new Error("the object did not accept a waiter");
  let isWoken = false;
  let isClosed = false;
  let resume = () => {};
  const wake = () => {
    isWoken = true;
    resume();
  };
  const end = () => {
    isClosed = true;
    wake();
  };
  webSocket.addEventListener("message", wake);
  webSocket.addEventListener("close", end);
  webSocket.addEventListener("error", end);
  caller.addEventListener("abort", wake);
  webSocket.accept();
  return {
    woken: (limitMs) =>
      new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          resume = () => {};
          resolve(isWoken);
          isWoken = false;
        };
        const timer = setTimeout(done, limitMs);
        resume = done;
        if (isWoken) done();
      }),
    isClosed: () => isClosed,
    close: () => webSocket.close(),
  };
}
