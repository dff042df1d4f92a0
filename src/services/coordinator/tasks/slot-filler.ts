/**
 * Fills an agent's free slots with pending tasks, most urgent first. Each task goes to the best agent for it, which may
 * be another one. A long queue is read in several slices, so that requests are served in between.
 */
import type { AgentRecord } from "../../../domain/agent.ts";
import type { ClusterContext } from "../cluster-context.ts";
import { mostUrgent, PendingQueue } from "./pending-queue.ts";
import type { Placement } from "./placement.ts";

/** Pending tasks examined in one slice at most; the rest follows in the next. */
const SLICE = 1000;

export class SlotFiller {
  readonly #context: Pick<ClusterContext, "agents" | "tasks">;
  readonly #placement: Pick<Placement, "canTakeNow" | "placeIfPossible">;
  /** Agents whose free slots are still to be filled, with how far their queues are read. */
  readonly #unfinished = new Map<string, PendingQueue[]>();

  constructor(
    context: Pick<ClusterContext, "agents" | "tasks">,
    placement: Pick<Placement, "canTakeNow" | "placeIfPossible">,
  ) {
    this.#context = context;
    this.#placement = placement;
  }

  load(): void {
    this.#unfinished.clear();
    // A crash may have lost what freed a slot. Reading the queues again costs little.
    if (this.#context.tasks.countOf("pending") === 0) return;
    for (const agent of this.#context.agents.all()) {
      if (this.#context.agents.hasFreeSlot(agent.id)) this.#unfinished.set(agent.id, this.#queuesOf(agent));
    }
  }

  get hasWork(): boolean {
    return this.#unfinished.size > 0;
  }

  /** Places pending tasks as long as this agent has a free slot. */
  fill(agentId: string, nowMs: number): void {
    if (this.#context.tasks.countOf("pending") === 0) return;
    const agent = this.#context.agents.find(agentId);
    if (agent !== undefined) this.#fillSlice(agentId, this.#queuesOf(agent), nowMs);
  }

  /** Continues where a queue was too long for one slice. */
  runSlice(nowMs: number): void {
    const [next] = this.#unfinished;
    if (next !== undefined) this.#fillSlice(next[0], next[1], nowMs);
  }

  #queuesOf(agent: AgentRecord): PendingQueue[] {
    return agent.capabilities.map((type) => new PendingQueue(this.#context.tasks.store.pending, type));
  }

  #fillSlice(agentId: string, queues: PendingQueue[], nowMs: number): void {
    this.#unfinished.delete(agentId);
    for (let examined = 0; this.#context.agents.hasFreeSlot(agentId); examined++) {
      if (examined === SLICE) {
        this.#unfinished.set(agentId, queues);
        return;
      }
      const next = mostUrgent(queues, nowMs)?.take();
      if (next === undefined) return;
      const task = this.#context.tasks.store.find(next.id);
      // The task may have been cancelled or placed since the queue was read.
      if (task?.status === "pending" && this.#placement.canTakeNow(agentId, task)) {
        this.#placement.placeIfPossible({ before: task, task, reason: "capacity_freed" }, nowMs);
      }
    }
  }
}
