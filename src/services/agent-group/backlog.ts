/**
 * How much was said on one connection that its reader has not shown to have read. The platform tells nobody what it
 * still holds for a reader that is slow or stuck, so reading is inferred: whoever names an attempt, a message or a
 * grant that it was told of has read everything up to there.
 */
import type { AgentFrame, ServerFrame } from "../../contract/socket.ts";

/** In UTF-16 units. With more than this unread, what is pushed waits. */
const ROOM = 1024 * 1024;

/** With more than this unread, nothing more is answered. */
const LIMIT = 16 * 1024 * 1024;

/** What is watched for at a time; the oldest are given up for the newest, which prove more. */
const PROOFS = 1000;

type Kind = "task" | "message" | "lock";

export class Backlog {
  #said = 0;
  #readThrough = 0;
  /** What shows that everything up to there was read, in the order in which it was said. */
  readonly #proofs = new Map<string, number>();

  said(frame: ServerFrame, characters: number): void {
    this.#said += characters;
    if (frame.type === "task_revoked") this.#proofs.delete(proofOf("task", frame.task_id, frame.attempt));
    const proof = toldBy(frame);
    if (proof === null) return;
    this.#proofs.set(proof, this.#said);
    const [oldest] = this.#proofs.keys();
    if (this.#proofs.size > PROOFS && oldest !== undefined) this.#proofs.delete(oldest);
  }

  /** @returns whether it shows that more was read than was known */
  heard(frame: AgentFrame): boolean {
    const named = namedBy(frame);
    const through = named === null ? undefined : this.#proofs.get(named);
    if (through === undefined) return false;
    this.#readThrough = Math.max(this.#readThrough, through);
    for (const [proof, at] of this.#proofs) {
      if (at > through) break;
      this.#proofs.delete(proof);
    }
    return true;
  }

  /** Whether something of that kind may be pushed. Nothing waits for a proof that nothing can bring. */
  hasRoomFor(kind: Kind): boolean {
    return this.#unread <= ROOM || ![...this.#proofs.keys()].some((proof) => proof.startsWith(`${kind}/`));
  }

  get isStuck(): boolean {
    return this.#unread > LIMIT;
  }

  get #unread(): number {
    return this.#said - this.#readThrough;
  }
}

/** What an agent can know from this frame alone. An `ack` may repeat what it knew. */
function toldBy(frame: ServerFrame): string | null {
  switch (frame.type) {
    case "task_assigned":
      return proofOf("task", frame.task.id, frame.task.attempt);
    case "message":
      return proofOf("message", frame.message.id);
    case "lock_granted":
      return proofOf("lock", frame.lock.resource, frame.lock.fencing_token);
    default:
      return null;
  }
}

function namedBy(frame: AgentFrame): string | null {
  switch (frame.type) {
    case "message_ack":
      return proofOf("message", frame.message_id);
    case "lock_renew":
    case "lock_release":
      return proofOf("lock", frame.resource, frame.fencing_token);
    case "lock_acquire":
    case "heartbeat":
      return null;
    default:
      return proofOf("task", frame.task_id, frame.attempt);
  }
}

function proofOf(kind: Kind, id: string, number = 0): string {
  return `${kind}/${number}/${id}`;
}
