import { describe, expect, it } from "vitest";
import { isSameProcess, replacementOf, type SessionState } from "../../../src/domain/replacement.ts";

const LIVE = { incarnation: 4, instance: "host/1/a" };
const NAMELESS = { incarnation: 4, instance: null };

function state(live: Partial<NonNullable<SessionState["live"]>> = {}): SessionState {
  const session = {
    incarnation: 4,
    isHeard: true,
    lastSignMs: 5000,
    isReplacedAlive: false,
    locks: [],
    ...live,
  };
  return { live: session, endedIncarnation: null };
}

const ENDED: SessionState = { live: null, endedIncarnation: 4 };

describe("a registration of a live agent", () => {
  it("continues it if both have the same instance", () => {
    const registrant = { instance: "host/1/a", incarnation: null };
    expect(isSameProcess(LIVE, registrant)).toBe(true);
    expect(replacementOf(LIVE, registrant, state())).toEqual({ kind: "continued" });
  });

  it("continues it with its own token, also under another instance", () => {
    const registrant = { instance: "host/2/b", incarnation: 4 };
    expect(replacementOf(LIVE, registrant, state())).toEqual({ kind: "continued" });
  });

  it("is a crash of it if the instances differ, also when one of them is missing", () => {
    for (const [live, instance] of [
      [LIVE, "host/2/b"],
      [LIVE, null],
      [NAMELESS, "host/2/b"],
    ] as const) {
      const replacement = replacementOf(live, { instance, incarnation: null }, state({ isHeard: false }));
      expect(replacement).toMatchObject({ kind: "crashed", live: { lastSignMs: 5000 } });
    }
  });

  it("is a crash with the token of an earlier incarnation", () => {
    expect(replacementOf(LIVE, { instance: "host/2/b", incarnation: 3 }, state()).kind).toBe("crashed");
  });

  it("without any instance is a repeated call until the agent was heard of, and a crash afterwards", () => {
    const registrant = { instance: null, incarnation: null };
    expect(replacementOf(NAMELESS, registrant, state({ isHeard: false })).kind).toBe("continued");
    expect(replacementOf(NAMELESS, registrant, state({ isHeard: true })).kind).toBe("crashed");
    // The group has not received the registration yet.
    expect(replacementOf(NAMELESS, registrant, { live: null, endedIncarnation: 3 }).kind).toBe("continued");
  });

  it("is none of these if the group has ended the incarnation already", () => {
    expect(replacementOf(LIVE, { instance: "host/2/b", incarnation: null }, ENDED)).toEqual({
      kind: "ended",
    });
  });

  it("is a crash of an incarnation that its group does not know yet", () => {
    const unknown: SessionState = { live: null, endedIncarnation: 3 };
    const replacement = replacementOf(LIVE, { instance: "host/2/b", incarnation: null }, unknown);
    expect(replacement).toEqual({ kind: "crashed", live: null });
  });
});
