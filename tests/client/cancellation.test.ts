/** Waits that an `AbortSignal` ends early. */
import { expect, it } from "vitest";
import { linkedAbort, orAborted, sleep, timeLimit } from "../../client/src/cancellation.ts";

const LONG_MS = 60_000;

it("sleep() resolves at once when its signal is aborted", async () => {
  const abort = new AbortController();
  const sleeping = sleep(LONG_MS, abort.signal);
  abort.abort();
  await sleeping;
  await sleep(LONG_MS, abort.signal);
});

it("linkedAbort() follows any of its signals, with the reason", () => {
  const [first, second] = [new AbortController(), new AbortController()];
  const linked = linkedAbort(first.signal, null, second.signal);
  second.abort("why");
  expect(linked.signal.reason).toBe("why");
  expect(linkedAbort(second.signal).signal.aborted).toBe(true);
});

it("linkedAbort() no longer follows its signals after dispose()", () => {
  const abort = new AbortController();
  const linked = linkedAbort(abort.signal);
  linked.dispose();
  abort.abort();
  expect(linked.signal.aborted).toBe(false);
});

it("timeLimit() aborts with an error that names the time", async () => {
  const { signal, dispose } = timeLimit(10);
  await expect(orAborted(new Promise(() => {}), signal)).rejects.toThrow("no response within 0.01 s");
  dispose();
});

it("orAborted() settles as the promise does while the signal is not aborted", async () => {
  const { signal } = new AbortController();
  expect(await orAborted(Promise.resolve(1), signal)).toBe(1);
  await expect(orAborted(Promise.reject(new Error("broken")), signal)).rejects.toThrow("broken");
});
