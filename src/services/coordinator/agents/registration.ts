/**
 * Who is in the cluster: reserves ids, issues incarnations, and tells the group whom to
 * watch. A new incarnation ends the one before it, wherever it comes from; what the agent
 * still works on stays as it is, or is its own again if nobody has it meanwhile; the rest of
 * its tasks stays with it under a new attempt.
 */
import type { Agent, Registration as RegistrationBody, RunningTask } from "../../../contract/agent.ts";
import { instant } from "../../../contract/instant.ts";
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import type { TaskStatus } from "../../../contract/task.ts";
import { type AgentRecord, type Drain, isLive, liveStatus } from "../../../domain/agent.ts";
import { agentOf, ownerOf, type Principal } from "../../../domain/principal.ts";
import { newHistory } from "../../../domain/reliability.ts";
import type { AttemptOutcome } from "../../../storage/coordinator/attempts.ts";
import type { QueuedTask, QueuePosition } from "../../../storage/coordinator/tasks.ts";
import type { Slice } from "../../../storage/page.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { Placement } from "../tasks/placement.ts";
import { agentView } from "../views.ts";
import type { Drains } from "./drains.ts";

/** Agents a cluster knows at most; those long inactive give way first. */
const AGENT_LIMIT = 20_000;

/** Agents one group watches at most. */
const AGENTS_PER_GROUP = 10_000;

/** What an agent holds is gone through in pages of this many. */
const PAGE = 100;
const HELD: readonly TaskStatus[] = ["assigned", "running"];

/** How attempts end whose holder was not told to give them up, nor did so itself. */
const THOUGHT_GONE: readonly (AttemptOutcome | null)[] = ["agent_failed", "agent_unregistered"];

/** Groups a cluster has at most: a change of the configuration goes to each. */
const GROUP_LIMIT = 1000;

/** @property principal who asks for the registration: the agent itself, its owner or an operator */
export type RegistrationRequest = {
  group: string;
  agentId: string;
  body: RegistrationBody;
  principal: Principal;
};

export type Registered = { agent: Agent; admission: { group: string; number: number } };

export class Registration {
  readonly #context: ClusterContext;
  readonly #placement: Placement;
  readonly #drains: Drains;

  constructor(context: ClusterContext, placement: Placement, drains: Drains) {
    this.#context = context;
    this.#placement = placement;
    this.#drains = drains;
  }

  register(request: RegistrationRequest, nowMs: number): Outcome<Registered & { isNew: boolean }> {
    const { group, agentId, body } = request;
    const known = this.#context.agents.find(agentId);
    const heartbeat = this.#heartbeatOf(body);
    const refusal = this.#refuse(known, request) ?? refuseHeartbeat(heartbeat);
    if (refusal !== null) return refusal;
    if (known === undefined) this.#makeRoom(nowMs);
    if (known === undefined && this.#context.agents.size >= AGENT_LIMIT) {
      return refuse("limit_reached", `a cluster knows at most ${AGENT_LIMIT} agents; use another cluster`);
    }
    const agent = this.#record(request, { heartbeat, known, nowMs });
    this.#context.agents.save(agent);
    // Its box stays where it was, and nobody would read it there.
    if (known !== undefined && known.group !== group) {
      this.#context.outbox.send(`group/${known.group}`, { type: "forget_agent", agentId });
    }
    if (known !== undefined && !isLive(known.status)) {
      this.#context.reportRecovery(agentId, "returned", nowMs);
    }
    if (this.#context.agents.addGroup(group)) {
      this.#context.outbox.send(`group/${group}`, {
        type: "configure_group",
        settings: this.#context.settings.forGroups(),
      });
    }
    const number = this.#context.outbox.send(`group/${group}`, {
      type: "register_session",
      agentId,
      incarnation: agent.incarnation,
      intervalMs: agent.heartbeatIntervalMs,
      timeoutMs: agent.heartbeatTimeoutMs,
    });
    this.#context.recordEvent(
      { type: "agent.registered", subject: agentId, data: { group, incarnation: agent.incarnation } },
      nowMs,
    );
    this.#keepTasks(agent, body.running_tasks, nowMs);
    this.#drains.returned(agent, nowMs);
    this.#placement.fill(agentId, nowMs);
    return ok({
      agent: this.#viewOfNew(agent, nowMs),
      admission: { group, number },
      isNew: known === undefined,
    });
  }

  /** Registering is the first sign of life. The group hears of it later, so the agent has at least until this deadline. */
  #viewOfNew(agent: AgentRecord, nowMs: number): Agent {
    return {
      ...agentView(agent, this.#context.agents.openTasksOf(agent.id), nowMs),
      last_heartbeat_at: instant(nowMs),
      deadline_at: instant(nowMs + agent.heartbeatTimeoutMs),
    };
  }

  #heartbeatOf(body: RegistrationBody): { intervalMs: number; timeoutMs: number } {
    const defaults = this.#context.settings.config.heartbeat_config;
    return {
      intervalMs: (body.heartbeat_interval_seconds ?? defaults.interval_seconds) * 1000,
      timeoutMs: (body.heartbeat_timeout_seconds ?? defaults.timeout_seconds) * 1000,
    };
  }

  #refuse(known: AgentRecord | undefined, { group, principal }: RegistrationRequest): Outcome<never> | null {
    const groups = this.#context.agents.groups();
    if (!groups.includes(group) && groups.length >= GROUP_LIMIT) {
      return refuse("limit_reached", `a cluster has at most ${GROUP_LIMIT} groups`);
    }
    if (known === undefined || !isLive(known.status)) {
      return this.#context.agents.liveCountIn(group) < AGENTS_PER_GROUP
        ? null
        : refuse("limit_reached", `a group watches at most ${AGENTS_PER_GROUP} agents; use another group`);
    }
    if (known.group !== group) {
      return refuse("agent_in_other_group", "the agent is live in another group; unregister it there first", {
        group: known.group,
      });
    }
    const caller = agentOf(principal);
    const isItself = caller?.agentId === known.id;
    if (isItself && caller.incarnation !== known.incarnation) {
      return refuse("session_expired", "a later incarnation of this agent lives");
    }
    if (caller === null || isItself || ownerOf(principal) === known.registeredBy) return null;
    return refuse("agent_live", "the agent is live and was registered by somebody else");
  }

  /** Long-gone agents give their place away, one by one, once the roster is full. */
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
    {
      heartbeat,
      known,
      nowMs,
    }: {
      heartbeat: { intervalMs: number; timeoutMs: number };
      known: AgentRecord | undefined;
      nowMs: number;
    },
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
      status: liveStatus(drain),
      drain,
      incarnation: this.#context.incarnations.take(),
      registeredAtMs: nowMs,
      // An agent that registers itself again stays its first owner's.
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
    };
  }

  /** What it says it still works on stays as it is; everything else it held is given to it anew. */
  #keepTasks(agent: AgentRecord, running: readonly RunningTask[], nowMs: number): void {
    const claimed = new Map(running.map(({ task_id, attempt }) => [task_id, attempt]));
    let after: QueuePosition | null = null;
    for (;;) {
      const page: Slice<QueuedTask> = this.#context.tasks.store.heldPage(agent.id, HELD, after, PAGE);
      for (const { task, place } of page.items) {
        after = place;
        if (claimed.get(task.id) === task.attempt) continue;
        this.#context.attempts.end(task.id, task.attempt, "reregistered", nowMs);
        this.#placement.reissue(task, agent.id, nowMs);
      }
      if (!page.hasMore) break;
    }
    this.#giveBack(agent.id, claimed, nowMs);
  }

  /**
   * What it says it still works on and what waits for somebody, though nobody told it to give that up: else the
   * work would be done twice.
   */
  #giveBack(agentId: string, claimed: ReadonlyMap<string, number>, nowMs: number): void {
    const { tasks, attempts } = this.#context;
    const ids = [...claimed.keys()];
    for (let from = 0; from < ids.length; from += PAGE) {
      for (const id of tasks.store.waitingSinceHeldBy(agentId, ids.slice(from, from + PAGE))) {
        const task = tasks.store.find(id);
        if (task === undefined || task.attempt !== claimed.get(id)) continue;
        const given = attempts.find(id, task.attempt);
        if (given?.agentId !== agentId || !THOUGHT_GONE.includes(given.outcome)) continue;
        if (this.#placement.suits(agentId, task)) {
          this.#placement.giveBack(task, given, nowMs);
        }
      }
    }
  }
}

/** What is left of the last incarnation's drain: an operator's, whose deadline counts for this one too. */
function keptDrain(known: AgentRecord | undefined): Drain | null {
  return known?.drain?.by === "operator" ? { ...known.drain, isOver: false, extensions: 0 } : null;
}

function refuseHeartbeat({
  intervalMs,
  timeoutMs,
}: {
  intervalMs: number;
  timeoutMs: number;
}): Outcome<never> | null {
  if (timeoutMs > intervalMs) return null;
  return {
    ok: false,
    problem: {
      code: "invalid_request",
      detail: "the heartbeat timeout must be longer than the interval",
      errors: [
        { path: "heartbeat_timeout_seconds", message: "must be longer than heartbeat_interval_seconds" },
      ],
    },
  };
}
