import { describe, expect, it } from "vitest";
import { isHeld } from "../../../../../src/domain/lock.ts";
import { GroupParts } from "../../../../support/group-parts.ts";

const TTL_MS = 10_000;

/** A group whose agents `a` to `d` are live and connected. */
class LockedGroup extends GroupParts {
  constructor() {
    super();
    for (const agentId of ["a", "b", "c", "d"]) {
      this.register(agentId);
      this.lifecycle.connect(agentId, 1);
    }
  }

  hold(agentId: string, resource = "disk"): void {
    const draft = { resource, holder: agentId, incarnation: 1, ttlMs: TTL_MS };
    this.unit.commit((nowMs) => this.context.locks.grant(draft, nowMs));
  }

  wait(agentId: string, { waitMs = 30_000, requestId = `${agentId}-1` as string | null } = {}): void {
    const draft = { resource: "disk", agentId, incarnation: 1, ttlMs: TTL_MS, waitMs, requestId };
    this.unit.commit((nowMs) => this.granter.enqueue(draft, nowMs));
  }

  release(): void {
    this.unit.commit((nowMs) => {
      const lock = this.context.locks.find("disk");
      if (isHeld(lock)) this.context.locks.release(lock);
      this.granter.grantNext("disk", nowMs);
    });
  }

  end(lockDelayMs: number): void {
    this.unit.commit((nowMs) => {
      const lock = this.context.locks.find("disk");
      if (lock !== undefined) this.context.locks.end(lock, { ending: "expired", lockDelayMs }, nowMs);
      this.granter.grantNext("disk", nowMs);
    });
  }

  runDue(): void {
    this.unit.commit((nowMs) => this.granter.runDue(nowMs));
  }

  holder(resource = "disk"): string | null {
    return this.context.locks.find(resource)?.holder ?? null;
  }

  waiters(): string[] {
    return this.context.lockQueue.waiters("disk").map(({ agentId }) => agentId);
  }

  /** The answers to frames so far: the id of the request, and what was answered. */
  answers(): string[] {
    return this.host.frames.map(({ frame }) => {
      if (frame.type === "lock_granted") return `${frame.request_id} granted`;
      return frame.type === "error" ? `${frame.request_id} ${frame.code}` : frame.type;
    });
  }
}

describe("a lock that becomes free", () => {
  it("goes to the first waiter, whose frame is answered; the others keep their order", () => {
    const group = new LockedGroup();
    group.hold("a");
    for (const agentId of ["c", "b", "d"]) group.wait(agentId);
    group.release();
    expect(group.holder()).toBe("c");
    expect(group.waiters()).toEqual(["b", "d"]);
    expect(group.answers()).toEqual(["c-1 granted"]);
    expect(group.host.woken).toContain("locks/c");
  });

  it("stays free when no agent waits", () => {
    const group = new LockedGroup();
    group.hold("a");
    group.release();
    expect(group.holder()).toBeNull();
  });

  it("is not granted to a waiter whose incarnation is not the live one", () => {
    const group = new LockedGroup();
    group.hold("a");
    group.wait("b");
    group.wait("c");
    // Without the life cycle, which would take the agent out of the queue.
    group.unit.commit(() => {
      const session = group.context.sessions.find("b");
      if (session !== undefined) group.context.sessions.remove(session, "failed");
    });
    group.release();
    expect(group.holder()).toBe("c");
  });

  it("is not granted to a waiter whose wait is over, and whose frame is refused", () => {
    const group = new LockedGroup();
    group.hold("a");
    group.wait("b", { waitMs: 1000 });
    group.wait("c");
    group.host.pass(1000);
    group.release();
    expect(group.holder()).toBe("c");
    expect(group.answers()).toEqual(["c-1 granted", "b-1 lock_held"]);
  });

  it("is not granted to a waiter that holds as many locks as it may", () => {
    const group = new LockedGroup();
    group.hold("a");
    group.unit.commit((nowMs) => {
      for (let index = 0; index < 1000; index++) {
        const draft = { resource: `other-${index}`, holder: "b", incarnation: 1, ttlMs: TTL_MS };
        group.context.locks.grant(draft, nowMs);
      }
    });
    group.wait("b");
    group.wait("c");
    group.release();
    expect(group.holder()).toBe("c");
    expect(group.answers()).toEqual(["b-1 limit_reached", "c-1 granted"]);
  });

  it("is granted once its lock delay has passed", () => {
    const group = new LockedGroup();
    group.hold("a");
    group.wait("b");
    group.end(2000);
    expect(group.holder()).toBeNull();
    expect(group.granter.earliestWorkMs).toBe(group.host.nowMs + 2000);
    group.host.pass(1999);
    group.runDue();
    expect(group.holder()).toBeNull();
    group.host.pass(1);
    group.runDue();
    expect(group.holder()).toBe("b");
  });
});

describe("a wait for a lock", () => {
  it("ends with a refusal when its time is over", () => {
    const group = new LockedGroup();
    group.hold("a");
    group.wait("b", { waitMs: 1000 });
    expect(group.granter.earliestWorkMs).toBe(group.host.nowMs + 1000);
    group.host.pass(1000);
    group.runDue();
    expect(group.waiters()).toEqual([]);
    expect(group.answers()).toEqual(["b-1 lock_held"]);
    expect(group.granter.earliestWorkMs).toBeNull();
  });

  it("moves to another request of the agent, and the former request is refused", () => {
    const group = new LockedGroup();
    group.hold("a");
    group.wait("b", { requestId: "b-1" });
    group.wait("c");
    group.wait("b", { requestId: "b-2" });
    group.release();
    expect(group.holder()).toBe("b");
    expect(group.answers()).toEqual(["b-1 lock_held", "b-2 granted"]);
  });

  it("of a call is not answered: the call is woken and asks again", () => {
    const group = new LockedGroup();
    group.hold("a");
    group.wait("b", { requestId: null });
    group.release();
    expect(group.holder()).toBe("b");
    expect(group.answers()).toEqual([]);
    expect(group.host.woken).toContain("locks/b");
  });

  it("is given up on request, and the frame is refused", () => {
    const group = new LockedGroup();
    group.hold("a");
    group.wait("b");
    group.unit.commit(() => group.granter.giveUp("disk", "b"));
    expect(group.waiters()).toEqual([]);
    expect(group.answers()).toEqual(["b-1 lock_held"]);
  });

  it("ends with the socket if a frame asked for the lock, and stays if a call did", () => {
    const group = new LockedGroup();
    group.hold("a");
    group.wait("b");
    group.wait("c", { requestId: null });
    group.unit.commit(() => {
      group.granter.leaveFramesOf("b");
      group.granter.leaveFramesOf("c");
    });
    expect(group.waiters()).toEqual(["c"]);
  });

  it("ends with the incarnation of its agent", () => {
    const group = new LockedGroup();
    group.hold("a");
    group.wait("b");
    group.wait("c");
    group.register("b", 2);
    expect(group.waiters()).toEqual(["c"]);
  });
});
