/** What follows when a task ends: the log has it, waiting callers are woken, and its holder's slot is filled again. */
import type { EventDraft } from "../../../contract/event.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { SlotFiller } from "./slot-filler.ts";

/** The event of a task's end; `data` beside the holder and the attempt. */
export type EndEvent = {
  type: "task.completed" | "task.failed" | "task.cancelled";
  data?: EventDraft["data"];
};

type Needs = Pick<ClusterContext, "recordEvent" | "reportSettled" | "announceEnd">;

export class TaskEndings {
  readonly #context: Needs;
  readonly #slots: Pick<SlotFiller, "fill">;

  constructor(context: Needs, slots: Pick<SlotFiller, "fill">) {
    this.#context = context;
    this.#slots = slots;
  }

  /** @param task as it is stored, at its end */
  announce(task: TaskRecord, { type, data = {} }: EndEvent, nowMs: number): void {
    const holder = { agent_id: task.holder, attempt: task.attempt };
    this.#context.recordEvent({ type, subject: task.id, data: { ...holder, ...data } }, nowMs);
    this.#context.announceEnd(task.id);
    // A task that was never reassigned has no failure of its own to resolve. A failed task waits for a person.
    if (task.status !== "failed" && task.reassignmentCount > 0) this.#context.reportSettled(task.id, nowMs);
    if (task.holder !== null) this.#slots.fill(task.holder, nowMs);
  }
}
