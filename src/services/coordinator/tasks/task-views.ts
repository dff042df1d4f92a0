/** Tasks as the API shows them. Why a pending task waits is computed here, when the task is read. */
import { instant } from "../../../contract/instant.ts";
import type { Task } from "../../../contract/task.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import type { Waiting } from "../../../strategies/waiting.ts";
import { whyWaiting } from "../../../strategies/waiting.ts";
import type { AgentRegistry } from "../agents/agent-registry.ts";
import { type PendingView, taskView } from "../wire-views.ts";
import type { TaskCache } from "./task-cache.ts";

/** More urgent tasks are counted up to this number: the count reads a row for each. */
const COUNTED_AHEAD = 100;

export class TaskViews {
  readonly #agents: Pick<AgentRegistry, "candidates">;
  readonly #tasks: Pick<TaskCache, "store">;

  constructor(agents: Pick<AgentRegistry, "candidates">, tasks: Pick<TaskCache, "store">) {
    this.#agents = agents;
    this.#tasks = tasks;
  }

  view(task: TaskRecord, nowMs: number): Task {
    return this.reader(nowMs)(task);
  }

  /** For a list: tasks with the same needs share one look at the agents. */
  reader(nowMs: number): (task: TaskRecord) => Task {
    const known = new Map<string, Waiting>();
    return (task) => {
      if (task.status !== "pending") return taskView(task);
      if (task.notBeforeMs !== null && task.notBeforeMs > nowMs) return taskView(task, backingOff(task));
      const needs = JSON.stringify([task.type, task.group, task.requiredLabels]);
      const waiting = known.get(needs) ?? whyWaiting(task, this.#agents.candidates());
      known.set(needs, waiting);
      return taskView(task, this.#inQueue(task, waiting, nowMs));
    };
  }

  #inQueue({ id }: TaskRecord, { code, reason }: Waiting, nowMs: number): PendingView {
    if (code !== "at_capacity") return { code, reason, until: null };
    const ahead = this.#tasks.store.pending.countAhead(id, { nowMs, limit: COUNTED_AHEAD });
    return { code, reason: `${placeInQueue(ahead)}; ${reason}`, until: null };
  }
}

function placeInQueue(ahead: number): string {
  if (ahead === 0) return "first of its type in the queue";
  const count = ahead < COUNTED_AHEAD ? ahead : `${COUNTED_AHEAD} or more`;
  return `queued behind ${count} of its type`;
}

/** The stored reason says what the last holder reported. */
function backingOff({ pendingReason, notBeforeMs }: TaskRecord): PendingView {
  const until = instant(notBeforeMs ?? 0);
  return { code: "retry_backoff", reason: pendingReason ?? `tried again at ${until}`, until };
}
