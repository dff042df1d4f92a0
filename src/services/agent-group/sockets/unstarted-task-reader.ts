/**
 * Reading from the coordinator which tasks of agents wait to be started. The reads of an event go together, and those
 * that come while enough calls are under way wait for the next: a thousand agents that connect at once are some tens
 * of calls. What had no room in an answer is asked again with the next call.
 */
import type { Page } from "../../../contract/common.ts";
import type { Task } from "../../../contract/task.ts";
import type { UnstartedRead } from "../../../protocol/object-calls.ts";
import type { Host } from "../../host.ts";

/** Agents in one call. */
const READS_PER_CALL = 100;

/** Calls under way at a time: one that hangs does not hold up the rest. */
const CALLS_AT_ONCE = 4;

/** How long the coordinator's answer is waited for. */
const CALL_LIMIT_MS = 10_000;

type Waiting = UnstartedRead & {
  resolve(page: Page<Task>): void;
  reject(error: unknown): void;
};

export class UnstartedTaskReader {
  readonly #host: Host;
  #waiting: Waiting[] = [];
  #calls = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  /** One page of an agent's unstarted tasks. @param cursor null for the first */
  read(agentId: string, cursor: string | null): Promise<Page<Task>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ agentId, cursor, resolve, reject });
      void this.#callSoon();
    });
  }

  /** At the end of this very event: one of its own would queue behind all that connect. */
  async #callSoon(): Promise<void> {
    await null;
    while (this.#waiting.length > 0 && this.#calls < CALLS_AT_ONCE) this.#call();
  }

  #call(): void {
    const reads = this.#waiting.splice(0, READS_PER_CALL);
    this.#calls += 1;
    void this.#pagesOf(reads).then((pages) => {
      this.#calls -= 1;
      pages.forEach((page, index) => {
        reads[index]?.resolve(page);
      });
      // Whoever had no room is first in the next call; an answer without any page is none.
      if (pages.length > 0) this.#waiting.unshift(...reads.slice(pages.length));
      else for (const { reject } of reads) reject(new Error("the coordinator did not answer"));
      void this.#callSoon();
    });
  }

  /** @returns none if the coordinator could not be reached, or did not answer in time */
  async #pagesOf(reads: readonly Waiting[]): Promise<Page<Task>[]> {
    let cancel = () => {};
    const tooLate = new Promise<Page<Task>[]>((resolve) => {
      cancel = this.#host.after(CALL_LIMIT_MS, () => resolve([]));
    });
    try {
      const asked = reads.map(({ agentId, cursor }) => ({ agentId, cursor }));
      return await Promise.race([this.#host.peers.unstartedTasks(asked), tooLate]);
    } catch {
      return [];
    } finally {
      cancel();
    }
  }
}
