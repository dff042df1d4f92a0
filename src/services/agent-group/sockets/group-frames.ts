/** Serves the frames that the group answers itself: locks, messages, heartbeats. Those of one tick share one commit. */
import type { Lock } from "../../../contract/lock.ts";
import { type Outcome, ok, type Problem } from "../../../contract/problem.ts";
import type { ServerFrame } from "../../../contract/socket.ts";
import type { GroupContext } from "../group-context.ts";
import type { LoadReports } from "../liveness/load-reports.ts";
import { sessionExpired } from "../liveness/session-lifecycle.ts";
import type { LockService } from "../locks/lock-service.ts";
import type { MailboxService } from "../mailbox/mailbox-service.ts";
import { type FrameRequest, type GroupFrame, outcomeFrame } from "./frame-request.ts";
import { errorFrame } from "./frame-sender.ts";

/** Waiters named in an answer over a socket; `GET …/locks/{resource}` names all. */
const WAITERS_IN_ANSWER = 10;

const FAILED: Problem = { code: "internal", detail: "the frame could not be served; the log has more" };
const DISCONNECTED: Problem = {
  code: "unavailable",
  detail: "the socket has ended: ask again over another",
};

/** What serves the frames. */
export type FrameServices = {
  loads: LoadReports;
  locks: Pick<LockService, "acquireNow" | "renewNow" | "releaseNow">;
  messages: Pick<MailboxService, "remove">;
};

type Collaborators = Pick<GroupContext, "host" | "unit" | "sessions">;
type Request = FrameRequest<GroupFrame>;

export class GroupFrames {
  readonly #context: Collaborators;
  readonly #services: FrameServices;

  constructor(context: Collaborators, services: FrameServices) {
    this.#context = context;
    this.#services = services;
  }

  /** Serves the requests in one commit. @returns their answers, in the same order */
  serve(requests: readonly Request[]): ServerFrame[] {
    const { unit, host } = this.#context;
    try {
      return unit.commit((nowMs) => requests.map((request) => this.#serveOne(request, nowMs)));
    } catch (error) {
      // A request that fails by a bug must not take the others with it.
      if (requests.length > 1) return requests.flatMap((request) => this.serve([request]));
      const type = requests[0]?.frame.type;
      host.log.line("error", "frame_failed", { type, error: String(error) });
      return requests.map(({ frame }) => errorFrame(frame.request_id, FAILED));
    }
  }

  #serveOne(request: Request, nowMs: number): ServerFrame {
    const { connection, principal, frame } = request;
    const { loads, locks, messages } = this.#services;
    const session = this.#context.sessions.find(connection.agentId);
    if (session?.incarnation !== connection.incarnation) {
      const { agentId, incarnation } = connection;
      return outcomeFrame(frame.request_id, sessionExpired(this.#context.sessions, agentId, incarnation));
    }
    switch (frame.type) {
      case "lock_acquire":
        // The socket has ended meanwhile: the agent would not learn of the grant.
        if (session.connection !== connection.number) return errorFrame(frame.request_id, DISCONNECTED);
        return this.#acquire(request, frame, nowMs);
      case "lock_renew":
        return lockFrame(frame.request_id, locks.renewNow(grantOf(frame), principal, nowMs));
      case "lock_release":
        return lockFrame(frame.request_id, locks.releaseNow(grantOf(frame), principal, nowMs));
      case "message_ack":
        messages.remove(connection.agentId, frame.message_id);
        return { type: "ack", request_id: frame.request_id };
      case "heartbeat":
        if (frame.load !== undefined && loads.record(session, frame.load)) {
          loads.report(session, frame.load, nowMs);
        }
        return { type: "ack", request_id: frame.request_id };
    }
  }

  #acquire(
    { principal }: Request,
    { type: _, request_id, resource, ...asked }: Extract<GroupFrame, { type: "lock_acquire" }>,
    nowMs: number,
  ): ServerFrame {
    const call = { agent_id: principal.agentId, ...asked };
    const outcome = this.#services.locks.acquireNow(
      { resource, call, principal, requestId: request_id },
      nowMs,
    );
    if (!outcome.ok) return errorFrame(request_id, outcome.problem);
    const { lock } = outcome.value;
    if (lock === null) return { type: "ack", request_id, queued: true };
    return { type: "ack", request_id, lock: withFewWaiters(lock) };
  }
}

function grantOf(frame: { resource: string; fencing_token: number }) {
  return { resource: frame.resource, fencingToken: frame.fencing_token };
}

function lockFrame(requestId: string, outcome: Outcome<Lock>): ServerFrame {
  return outcomeFrame(requestId, outcome.ok ? ok({ lock: withFewWaiters(outcome.value) }) : outcome);
}

/** Thousands of answers in a tick must not each name a thousand waiters. */
function withFewWaiters(lock: Lock): Lock {
  return { ...lock, waiters: lock.waiters.slice(0, WAITERS_IN_ANSWER) };
}
