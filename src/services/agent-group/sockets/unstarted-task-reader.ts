/**
 * Reads from the coordinator which tasks of agents wait to be started. The reads of one event share a call, and reads that
 * come while enough calls are under way wait for the next: a thousand agents that connect at once make some tens of
 * calls. A read that had no room in an answer is repeated with the next call.
 */
import type { Page } from "../../../contract/common.ts";
import type { Task } from "../../../contract/task.ts";
import type { UnstartedRead } from "../../../protocol/object-calls.ts";
import type { Host } from "../../host.ts";

/** Agents in one call. */
const READS_PER_CALL = 100;

/** Calls under way at a time: one that hangs does not block the rest. */
const CALLS_AT_ONCE = 4;

/** How long a call waits for the coordinator's answer. */
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

  /** At the end of the present event: a later event would queue behind all agents that connect. */
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
      // Reads that had no room are first in the next call. An answer without any page counts as none.
      if (pages.length > 0) this.#waiting.unshift(...reads.slice(pages.length));
      else for (const { reject } of reads) reject(new Error("the coordinator did not answer"));
      void this.#callSoon();
    });
  }

  /** @returns no pages if the coordinator could not be reached, or did not answer in time */
  async #pagesOf(reads: readonly Waiting[]): Promise<Page<Task>[]> {
    let cancel = () => {};
    const late = new Promise<Page<Task>[]>((resolve) => {
      cancel = this.#host.after(CALL_LIMIT_MS, () => resolve([]));
    });
    try {
      const asked = reads.map(({ agentId, cursor }) => ({ agentId, cursor }));
      return await Promise.race([this.#host.peers.unstartedTasks(asked), late]);
    } catch {
      return [];
    } finally {
      cancel();
    }
  }
}
