/**
 * What a registration means for the live incarnation of the agent that it replaces. Pure.
 *
 *   live --the same process registers again--> continued: nothing is recorded
 *     '--another process registers--> crashed: the failure `agent_restarted`
 *                                        '--the replaced process is heard of again--> `duplicate_agent_id`
 *
 * A process names itself by its `instance`. systemd and StatefulSets start a crashed process again under its old id
 * within a second, so a new process under the id of a live one is most likely the successor of a crash.
 */

/** The process that registers. @property incarnation of its token, if the token is an agent's */
export type Registrant = { readonly instance: string | null; readonly incarnation: number | null };

/** The incarnation that is live as far as the coordinator knows. */
export type LiveIncarnation = { readonly incarnation: number; readonly instance: string | null };

/** What a group knows of an agent that is about to be registered again. */
export type SessionState = {
  /** The live incarnation; null if none is live. */
  live: {
    incarnation: number;
    /** Whether it was heard of after its registration. */
    isHeard: boolean;
    lastSignMs: number;
    /** Whether the incarnation that it replaced was heard of since. */
    isReplacedAlive: boolean;
    /** The resources that it holds. */
    locks: readonly string[];
  } | null;
  /** The latest incarnation that has ended; null if none is on record. */
  endedIncarnation: number | null;
};

export type Replacement =
  | { readonly kind: "continued" | "ended" }
  | { readonly kind: "crashed"; readonly live: NonNullable<SessionState["live"]> | null };

/** While two processes fight for an id, others are refused until this long after the last refusal. */
export const CONFLICT_MS = 60_000;

/** Whether the process that registers is that of the live incarnation. */
export function isSameProcess(live: LiveIncarnation, { instance, incarnation }: Registrant): boolean {
  return incarnation === live.incarnation || (instance !== null && instance === live.instance);
}

/** @param known what the group of the agent knows of it */
export function replacementOf(
  live: LiveIncarnation,
  registrant: Registrant,
  known: SessionState,
): Replacement {
  if (isSameProcess(live, registrant)) return { kind: "continued" };
  if ((known.endedIncarnation ?? 0) >= live.incarnation) return { kind: "ended" };
  const session = known.live?.incarnation === live.incarnation ? known.live : null;
  const isAnonymous = live.instance === null && registrant.instance === null;
  // The answer to the first registration was lost, and the call is repeated.
  if (isAnonymous && session?.isHeard !== true) return { kind: "continued" };
  return { kind: "crashed", live: session };
}
