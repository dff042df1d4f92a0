/** What the pushes on one connection have in common: the agent that gets them, and what they use of the group. */
import type { GroupContext } from "../group-context.ts";

/** The agent that frames are pushed to. */
export type Recipient = {
  readonly agentId: string;
  readonly connection: number;
  /** To be called after an event of its own, in which backpressure may have begun or ended. */
  storeBackpressure(): void;
};

/** What pushes use of the group. */
export type PushContext = Pick<GroupContext, "host" | "unit" | "sessions" | "mailboxes" | "frames">;
