/** The parts of an agent group on a fake host, without a coordinator. */
import type { RegisterSession } from "../../src/protocol/messages.ts";
import { GroupContext } from "../../src/services/agent-group/group-context.ts";
import { SessionLifecycle } from "../../src/services/agent-group/liveness/session-lifecycle.ts";
import { LockGranter } from "../../src/services/agent-group/locks/lock-granter.ts";
import { UnitOfWork } from "../../src/services/unit-of-work.ts";
import { AGENT_GROUP_MIGRATIONS } from "../../src/storage/agent-group/schema.ts";
import { FakeHost } from "./fake-host.ts";

export class GroupParts {
  readonly host: FakeHost;
  readonly unit: UnitOfWork;
  readonly context: GroupContext;
  readonly granter: LockGranter;
  readonly lifecycle: SessionLifecycle;

  constructor(host = new FakeHost()) {
    this.host = host;
    this.unit = new UnitOfWork(host, {
      migrations: AGENT_GROUP_MIGRATIONS,
      load: (nowMs) => {
        this.context.load(nowMs);
        this.granter.load();
        this.lifecycle.load();
      },
      nextWorkMs: () => null,
    });
    this.context = new GroupContext(host, this.unit, { cluster: "default", group: "default" });
    this.granter = new LockGranter(this.context);
    this.lifecycle = new SessionLifecycle(this.context, this.granter);
  }

  /** As after an eviction: the same storage, and empty memory. */
  restarted(): GroupParts {
    return new GroupParts(this.host);
  }

  /** Begins the session of an agent with an interval of 1 s and a timeout of 3 s. */
  register(agentId: string, incarnation = 1): void {
    const registration: RegisterSession = {
      type: "register_session",
      agentId,
      incarnation,
      intervalMs: 1000,
      timeoutMs: 3000,
    };
    this.unit.commit((nowMs) => this.lifecycle.begin(registration, nowMs));
  }
}
