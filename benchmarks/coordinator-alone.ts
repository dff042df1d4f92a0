/**
 * The real coordinator without its surroundings: its storage is Node's own SQLite in memory, its messages arrive
 * at once, and deferred work runs on demand, so that its work is measured without any waiting.
 */
import { DatabaseSync } from "node:sqlite";
import { Config } from "../src/contract/config.ts";
import type { Outcome } from "../src/contract/problem.ts";
import { ADMIN } from "../src/domain/principal.ts";
import { Coordinator } from "../src/services/coordinator/coordinator.ts";
import type { Host } from "../src/services/host.ts";
import { NodeSql } from "../tests/support/simulation/node-sql.ts";

const GROUP = "default";
const TYPE = "work";
const START_MS = Date.UTC(2026, 0, 1);

export class CoordinatorAlone implements Disposable {
  readonly #coordinator: Coordinator;
  readonly #database = new DatabaseSync(":memory:");
  readonly #deferred: (() => void)[] = [];
  readonly #incarnations = new Map<string, number>();
  #ids = 0;
  #failures = 0;

  constructor() {
    this.#coordinator = new Coordinator(this.#host(), Config.parse({}));
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  async register(id: string, maxConcurrentTasks: number): Promise<void> {
    const registered = await this.#coordinator.register(
      { group: GROUP, agentId: id },
      {
        type: "worker",
        capabilities: [TYPE],
        max_concurrent_tasks: maxConcurrentTasks,
        labels: {},
        running_tasks: [],
      },
      ADMIN,
    );
    this.#incarnations.set(id, good(registered).agent.incarnation);
  }

  submit(count: number): void {
    for (let index = 0; index < count; index++) {
      good(
        this.#coordinator.submit({ id: `task-${index}`, type: TYPE, priority: index % 11, data: { index } }),
      );
    }
  }

  tasksOf(agentId: string): number {
    return good(this.#coordinator.queries.agent(agentId)).task_count;
  }

  /**
   * Reports to the coordinator that an agent failed. @returns the working time until all its tasks have moved, in ms
   */
  async failOver(agentId: string): Promise<number> {
    this.#failures += 1;
    const batch = {
      stream: "benchmark",
      messages: [
        {
          number: this.#failures,
          message: {
            type: "agent_ended" as const,
            agentId,
            incarnation: this.#incarnations.get(agentId) ?? 0,
            group: GROUP,
            ending: "failed" as const,
            failureId: `failure-${this.#failures}`,
            failureType: "heartbeat_timeout",
            message: "no heartbeat",
            details: {},
            lastSignMs: START_MS,
            declaredAtMs: START_MS,
            locksReleased: [],
          },
        },
      ],
    };
    let spentMs = msOf(() => this.#coordinator.receive(batch));
    for (let work = this.#deferred.shift(); work !== undefined; work = this.#deferred.shift()) {
      spentMs += msOf(work);
      // Messages to the notifier are sent in between.
      await settled();
    }
    return spentMs;
  }

  #host(): Host {
    return {
      sql: new NodeSql(this.#database),
      clock: { nowMs: () => START_MS },
      alarm: { set() {}, clear() {} },
      wakeups: { wake() {} },
      sockets: {
        send() {},
        close() {},
        setBackpressured() {},
        isBackpressured: () => false,
        isKnown: () => false,
        lastPingMs: () => null,
      },
      peers: {
        deliver: async (_, { messages }) => ({ through: messages.at(-1)?.number ?? 0, refused: [] }),
        wakeAgent: async () => {},
        sessionState: async () => ({ live: null, endedIncarnation: null }),
        // Only groups make these calls, and this benchmark has no group object.
        report: async () => [],
        unstartedTasks: async () => [],
      },
      log: {
        line(level, event, fields) {
          if (level === "error") throw new Error(`${event}: ${JSON.stringify(fields)}`);
        },
      },
      bootId: "boot",
      reachableSinceMs: () => null,
      randomId: () => `id-${this.#ids++}`,
      defer: (work) => void this.#deferred.push(work),
      after: () => () => {},
    };
  }
}

/**
 * Synchronous work, so the time contains no waiting. The clocks of CPU time are too coarse for a batch of some
 * milliseconds.
 */
function msOf(work: () => void): number {
  const startMs = performance.now();
  work();
  return performance.now() - startMs;
}

/** One turn of the event loop settles every promise that can. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function good<Value>(outcome: Outcome<Value>): Value {
  if (!outcome.ok) throw new Error(`refused: ${outcome.problem.code}: ${outcome.problem.detail}`);
  return outcome.value;
}
