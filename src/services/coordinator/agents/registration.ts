/**
 * Registration: reserves ids, issues incarnations, and tells the group which agent to monitor. A new incarnation ends
 * the previous one. The agent keeps its tasks, see running-task-reconciler.ts; what it means if the previous one was
 * live, see domain/replacement.ts.
 */
import type { Agent, Registration as RegistrationBody } from "../../../contract/agent.ts";
import { instant } from "../../../contract/instant.ts";
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import {
  type AgentRecord,
  type Drain,
  isLive,
  liveStatus,
  type ReplacedIncarnation,
} from "../../../domain/agent.ts";
import { agentOf, ownerOf, type Principal } from "../../../domain/principal.ts";
import { newHistory } from "../../../domain/reliability.ts";
import {
  isSameProcess,
  type Registrant,
  replacementOf,
  type SessionState,
} from "../../../domain/replacement.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { AgentRestarts } from "../failover/agent-restarts.ts";
import { sessionExpired } from "../refusals.ts";
import type { SlotFiller } from "../tasks/slot-filler.ts";
import { agentView } from "../wire-views.ts";
import type { Drains } from "./drains.ts";
import type { RunningTaskReconciler } from "./running-task-reconciler.ts";

/** Agents of a cluster at most; the agents that are inactive for longest are removed first. */
const AGENT_LIMIT = 20_000;

/** Live agents of a group at most. */
const AGENTS_PER_GROUP = 10_000;

/** Groups of a cluster at most: a change of the configuration goes to each. */
const GROUP_LIMIT = 1000;

/** @property principal the caller: the agent itself, its owner or an operator */
export type RegistrationRequest = {
  group: string;
  agentId: string;
  body: RegistrationBody;
  principal: Principal;
};

/** What the group of an agent answered about the incarnation that a registration would end. */
export type AskedSession = { incarnation: number; state: SessionState };

/** @property messageNumber of the message that tells the group */
export type Registered = { agent: Agent; isNew: boolean; messageNumber: number };

/** What becomes of the incarnation that is on record. */
type Before = {
  known: AgentRecord | undefined;
  /** The live incarnation of another process that ends by this registration, which has been recorded as a failure. */
  crashed: ReplacedIncarnation | null;
  /** The live incarnation and the new one are of one process. */
  isContinued: boolean;
};

type HeartbeatTimes = { intervalMs: number; timeoutMs: number };

type Needs = Pick<
  ClusterContext,
  "agents" | "incarnations" | "outbox" | "settings" | "recordEvent" | "reportRecovery"
>;
type Parts = {
  runningTasks: Pick<RunningTaskReconciler, "reconcile">;
  drains: Pick<Drains, "reapply">;
  slots: Pick<SlotFiller, "fill">;
  restarts: Pick<AgentRestarts, "conclude" | "isRecordedAsRestart" | "record" | "recordDuplicate">;
};

export class Registration {
  readonly #context: Needs;
  readonly #parts: Parts;

  constructor(context: Needs, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** The live incarnation of another process that this would end, which its group is to be asked about; or null. */
  replaces({ group, agentId, body, principal }: RegistrationRequest): number | null {
    const known = this.#context.agents.find(agentId);
    if (known === undefined || !isLive(known.status) || known.group !== group) return null;
    return isSameProcess(known, registrantOf(body, principal)) ? null : known.incarnation;
  }

  /**
   * Refuses another process while two of them fight for the id.
   * @param asked about the live incarnation
   * @returns the refusal, which is on record, or null
   */
  refuseDuplicate(request: RegistrationRequest, asked: AskedSession, nowMs: number): Outcome<never> | null {
    const { agentId, body } = request;
    const known = this.#context.agents.find(agentId);
    if (known === undefined || (asked.state.endedIncarnation ?? 0) >= asked.incarnation) return null;
    // A registration that is refused anyway is no part of the fight.
    if ((this.#refuse(known, request) ?? refuseHeartbeat(this.#heartbeatOf(body))) !== null) return null;
    const isConflict = known.conflictUntilMs !== null && nowMs < known.conflictUntilMs;
    const isNews =
      asked.state.live?.isReplacedAlive === true && this.#parts.restarts.isRecordedAsRestart(known);
    if (!isConflict && !isNews) return null;
    this.#parts.restarts.recordDuplicate(known, nowMs);
    return refuse(
      "agent_live",
      "another process holds this agent id and is alive; give each process an id of its own",
      { instance: known.instance },
    );
  }

  /** @param asked about the live incarnation, if `replaces` names one */
  register(request: RegistrationRequest, asked: AskedSession | null, nowMs: number): Outcome<Registered> {
    const { group, agentId, body } = request;
    const known = this.#context.agents.find(agentId);
    const heartbeat = this.#heartbeatOf(body);
    const refusal = this.#refuse(known, request) ?? refuseHeartbeat(heartbeat);
    if (refusal !== null) return refusal;
    if (known === undefined) this.#makeRoom(nowMs);
    if (known === undefined && this.#context.agents.size >= AGENT_LIMIT) {
      return refuse("limit_reached", `a cluster has at most ${AGENT_LIMIT} agents; use another cluster`);
    }
    const before = this.#endLive(request, asked, nowMs);
    const agent = this.#record(request, { ...before, heartbeat }, nowMs);
    this.#context.agents.save(agent);
    // The agent's mailbox is in its former group, where no agent would read it.
    if (known !== undefined && known.group !== group) {
      this.#context.outbox.send(`group/${known.group}`, { type: "forget_agent", agentId });
    }
    if (known !== undefined && (!isLive(known.status) || before.crashed !== null)) {
      this.#context.reportRecovery(agentId, "returned", nowMs);
    }
    if (this.#context.agents.addGroup(group)) {
      this.#context.outbox.send(`group/${group}`, {
        type: "configure_group",
        settings: this.#context.settings.forGroups(),
      });
    }
    const messageNumber = this.#context.outbox.send(`group/${group}`, {
      type: "register_session",
      agentId,
      incarnation: agent.incarnation,
      intervalMs: agent.heartbeatIntervalMs,
      timeoutMs: agent.heartbeatTimeoutMs,
      instance: agent.instance,
      replacedIncarnation: agent.replaced?.incarnation ?? null,
    });
    this.#context.recordEvent(
      { type: "agent.registered", subject: agentId, data: { group, incarnation: agent.incarnation } },
      nowMs,
    );
    const isCrash = before.crashed !== null && this.#context.settings.config.failover_config.enabled;
    const lost = this.#parts.runningTasks.reconcile({ agentId, running: body.running_tasks, isCrash }, nowMs);
    if (before.crashed !== null) this.#parts.restarts.conclude(agentId, { ...before.crashed, lost }, nowMs);
    this.#parts.drains.reapply(agent, nowMs);
    this.#parts.slots.fill(agentId, nowMs);
    return ok({
      agent: this.#viewOfNew(agent, nowMs),
      isNew: known === undefined,
      messageNumber,
    });
  }

  /** Registering is the first sign of life. The group receives it later, so the agent has at least until this deadline. */
  #viewOfNew(agent: AgentRecord, nowMs: number): Agent {
    return {
      ...agentView(agent, this.#context.agents.openTasksOf(agent.id), nowMs),
      last_heartbeat_at: instant(nowMs),
      deadline_at: instant(nowMs + agent.heartbeatTimeoutMs),
    };
  }

  #heartbeatOf(body: RegistrationBody): HeartbeatTimes {
    const defaults = this.#context.settings.config.heartbeat_config;
    return {
      intervalMs: (body.heartbeat_interval_seconds ?? defaults.interval_seconds) * 1000,
      timeoutMs: (body.heartbeat_timeout_seconds ?? defaults.timeout_seconds) * 1000,
    };
  }

  #refuse(known: AgentRecord | undefined, { group, principal }: RegistrationRequest): Outcome<never> | null {
    const groups = this.#context.agents.groups();
    if (!groups.includes(group) && groups.length >= GROUP_LIMIT) {
      return refuse(
        "limit_reached",
        `a cluster has at most ${GROUP_LIMIT} groups; use an existing group or another cluster`,
      );
    }
    if (known === undefined || !isLive(known.status)) {
      return this.#context.agents.liveCountIn(group) < AGENTS_PER_GROUP
        ? null
        : refuse("limit_reached", `a group has at most ${AGENTS_PER_GROUP} live agents; use another group`);
    }
    if (known.group !== group) {
      return refuse("agent_in_other_group", "the agent is live in another group; unregister it there first", {
        group: known.group,
      });
    }
    const caller = agentOf(principal);
    const isItself = caller?.agentId === known.id;
    if (isItself && caller.incarnation !== known.incarnation) {
      return sessionExpired(known, caller);
    }
    if (caller === null || isItself || ownerOf(principal) === known.registeredBy) return null;
    return refuse(
      "agent_live",
      "the agent is live and was registered by another owner; choose another id, or wait until deadline_at",
    );
  }

  /** Records the crash of the live incarnation, if that is what this registration means. */
  #endLive(
    { agentId, body, principal }: RegistrationRequest,
    asked: AskedSession | null,
    nowMs: number,
  ): Before {
    const known = this.#context.agents.find(agentId);
    const isLiveNow = known !== undefined && isLive(known.status);
    if (known === undefined || asked === null) return { known, crashed: null, isContinued: isLiveNow };
    const replacement = replacementOf(known, registrantOf(body, principal), asked.state);
    if (replacement.kind !== "crashed") {
      return { known, crashed: null, isContinued: replacement.kind === "continued" };
    }
    const restart = {
      instance: body.instance ?? null,
      lastSignMs: replacement.live?.lastSignMs ?? null,
      locks: replacement.live?.locks ?? [],
    };
    const crashed = this.#parts.restarts.record(known, restart, nowMs);
    return { known: this.#context.agents.find(agentId), crashed, isContinued: false };
  }

  /** Once the registry is full, removes the agent without tasks that is inactive for longest. */
  #makeRoom(nowMs: number): void {
    if (this.#context.agents.size < AGENT_LIMIT) return;
    const idle = this.#context.agents
      .all()
      .filter((agent) => !isLive(agent.status) && this.#context.agents.openTasksOf(agent.id) === 0)
      .sort((a, b) => (a.lastHeartbeatAtMs ?? 0) - (b.lastHeartbeatAtMs ?? 0))[0];
    if (idle === undefined) return;
    this.#context.agents.remove(idle.id);
    this.#context.reportRecovery(idle.id, "unregistered", nowMs);
  }

  #record(
    { group, agentId, body, principal }: RegistrationRequest,
    { heartbeat, known, crashed, isContinued }: Before & { heartbeat: HeartbeatTimes },
    nowMs: number,
  ): AgentRecord {
    const owner = ownerOf(principal);
    const drain = keptDrain(known);
    return {
      id: agentId,
      group,
      type: body.type,
      capabilities: [...new Set(body.capabilities)],
      endpoint: body.endpoint ?? null,
      labels: body.labels,
      maxConcurrentTasks: body.max_concurrent_tasks,
      heartbeatIntervalMs: heartbeat.intervalMs,
      heartbeatTimeoutMs: heartbeat.timeoutMs,
      hasOwnTimeout: body.heartbeat_timeout_seconds !== undefined,
      status: liveStatus(drain),
      drain,
      incarnation: this.#context.incarnations.take(),
      registeredAtMs: nowMs,
      // An agent that registers itself again keeps its first owner.
      registeredBy: agentOf(principal)?.agentId === agentId ? (known?.registeredBy ?? owner) : owner,
      lastHeartbeatAtMs: null,
      isLeaving: false,
      cooldownUntilMs: known?.cooldownUntilMs ?? null,
      failureCount: known?.failureCount ?? 0,
      tasksCompleted: known?.tasksCompleted ?? 0,
      tasksFailed: known?.tasksFailed ?? 0,
      taskMsTotal: known?.taskMsTotal ?? 0,
      load: null,
      reliabilityHistory: known?.reliabilityHistory ?? newHistory(nowMs),
      performance: known?.performance ?? {},
      instance: body.instance ?? null,
      // The same process goes on: what it replaced may still be heard of.
      replaced: crashed ?? (isContinued ? (known?.replaced ?? null) : null),
      conflictUntilMs: known?.conflictUntilMs ?? null,
    };
  }
}

function registrantOf({ instance }: RegistrationBody, principal: Principal): Registrant {
  return { instance: instance ?? null, incarnation: agentOf(principal)?.incarnation ?? null };
}

/** An operator's drain of the previous incarnation continues, with the same deadline. */
function keptDrain(known: AgentRecord | undefined): Drain | null {
  return known?.drain?.by === "operator" ? { ...known.drain, isOver: false, extensions: 0 } : null;
}

function refuseHeartbeat({ intervalMs, timeoutMs }: HeartbeatTimes): Outcome<never> | null {
  if (timeoutMs > intervalMs) return null;
  return {
    ok: false,
    problem: {
      code: "invalid_request",
      detail: "the heartbeat timeout must be longer than the interval",
      errors: [
        {
          path: "heartbeat_timeout_seconds",
          message: `must be longer than heartbeat_interval_seconds (${intervalMs / 1000})`,
        },
      ],
    },
  };
}
