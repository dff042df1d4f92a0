/** Says how long a whole run takes, and how far a run has come. */
import type { Reporter, TestSpecification } from "vitest/node";

/** A run of all tests has more files than that; a part of them needs no estimate. */
const WHOLE_RUN_FILES = 100;
/** On two cores without other work; see CONTRIBUTING.md. */
const WHOLE_RUN_MINUTES = 8;
/** How often it says how far the run has come. */
const INTERVAL_MS = 15_000;

export class Progress implements Reporter {
  #files = 0;
  #ended = 0;
  #startedAtMs = 0;
  #saidAtMs = 0;

  onTestRunStart(specifications: readonly TestSpecification[]): void {
    this.#files = specifications.length;
    this.#ended = 0;
    this.#startedAtMs = performance.now();
    this.#saidAtMs = this.#startedAtMs;
    if (this.#files <= WHOLE_RUN_FILES) return;
    console.log(
      `${this.#files} files, about ${WHOLE_RUN_MINUTES} minutes on two cores. ` +
        "Much faster, for a first answer: npm run test:unit\n",
    );
  }

  onTestModuleEnd(): void {
    this.#ended += 1;
    // On a terminal the default reporter shows it all the time.
    if (process.stdout.isTTY) return;
    const nowMs = performance.now();
    if (nowMs - this.#saidAtMs < INTERVAL_MS || this.#ended === this.#files) return;
    this.#saidAtMs = nowMs;
    const seconds = ((nowMs - this.#startedAtMs) / 1000).toFixed(0);
    console.log(` ${this.#ended} of ${this.#files} files after ${seconds} s`);
  }
}
