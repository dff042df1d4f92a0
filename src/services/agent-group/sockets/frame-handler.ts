/**
 * What agents ask over their sockets. The frames of one tick are served together: what the group itself can do in
 * one commit, and the reports on tasks in one call to the coordinator, which is one commit there. A frame is in
 * memory alone until it is answered; an agent that gets no answer asks again.
 */
import type { Lock } from "../../../contract/lock.ts";
import { type Outcome, ok, type Problem, refuse } from "../../../contract/problem.ts";
import type { AgentFrame, ServerFrame } from "../../../contract/socket.ts";
import type { TaskState } from "../../../contract/task.ts";
import type { AgentPrincipal } from "../../../domain/principal.ts";
import { parseFrames } from "../../../protocol/frame-parser.ts";
import {
  exceedsLimit,
  type FrameCount,
  type FrameSize,
  withFrames,
} from "../../../protocol/frame-rate-limit.ts";
import type { TaskReport } from "../../../protocol/object-calls.ts";
import type { Connection } from "../../host.ts";
import type { GroupContext } from "../group-context.ts";
import type { LoadReports } from "../liveness/load-reports.ts";
import { type SessionLifecycle, sessionExpired } from "../liveness/session-lifecycle.ts";
import type { Session } from "../liveness/sessions.ts";
import type { LockService } from "../locks/lock-service.ts";
import type { MailboxService } from "../mailbox/mailbox-service.ts";
import type { AgentPushes } from "./agent-pushes.ts";
import { errorFrame } from "./frame-sender.ts";

/** Reports in one call, as in one batch over HTTP, and about as many characters as one call may well carry. */
const REPORTS_PER_CALL = 1000;
const CHARACTERS_PER_CALL = 8_388_608;

/** How long the coordinator's answer is waited for. */
const REPORT_LIMIT_MS = 10_000;

/** Waiters named in an answer over a socket; `GET …/locks/{resource}` names all. */
const WAITERS_TOLD = 10;

/** Frames of all agents that wait to be answered, and what they hold. */
const WAITING_FRAMES = 100_000;
const WAITING_CHARACTERS = 64 * 1024 * 1024;

type ReportFrame = TaskReport["frame"];
type OwnFrame = Exclude<AgentFrame, ReportFrame>;
type Request<Frame extends AgentFrame> = {
  connection: Connection;
  principal: AgentPrincipal;
  frame: Frame;
  characters: number;
  answer: (frame: ServerFrame) => void;
};

export type FrameHandlerParts = {
  lifecycle: SessionLifecycle;
  loads: LoadReports;
  locks: LockService;
  messages: MailboxService;
  pushes: AgentPushes;
};

export class FrameHandler {
  readonly #context: GroupContext;
  readonly #parts: FrameHandlerParts;
  readonly #meters = new Map<number, FrameCount>();
  /** Of this tick. */
  #own: Request<OwnFrame>[] = [];
  #reports: Request<ReportFrame>[] = [];
  #isDeferred = false;
  #isReporting = false;
  #waitingFrames = 0;
  #waitingCharacters = 0;

  constructor(context: GroupContext, parts: FrameHandlerParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** Takes what came over a socket; the answers leave later, in order. */
  receive(connection: Connection, data: string | ArrayBuffer): void {
    const session = this.#parts.lifecycle.recordSign(connection.agentId, connection.incarnation);
    const { number } = connection;
    if (session === null) {
      this.#context.frames.expire(number);
      return;
    }
    // Another has taken its place, or is to.
    if (session.connection !== number) {
      this.#context.frames.close(number, "replaced");
      return;
    }
    const characters = typeof data === "string" ? data.length : data.byteLength;
    const { frames: connections } = this.#context;
    if (connections.isWornOut(number)) {
      this.#renew(session, number);
      return;
    }
    // Nothing is read of what is too much already.
    const isTooMuch = this.#isFlooding(number, { frames: 1, characters });
    const readings = isTooMuch ? [] : parseFrames(data);
    if (isTooMuch || this.#isFlooding(number, { frames: readings.length - 1, characters: 0 })) {
      this.#cutOff(session, number);
      return;
    }
    const principal = this.#principalOf(connection);
    for (const reading of readings) {
      const answer = connections.expect(number);
      if (!reading.ok) answer(errorFrame(reading.requestId, reading.problem));
      else
        this.#take({ connection, principal, frame: reading.frame, characters: reading.characters, answer });
    }
  }

  /** The agent's token was checked when its socket was opened. */
  #principalOf({ agentId, incarnation }: Connection): AgentPrincipal {
    const { cluster, group } = this.#context;
    return { role: "agent", cluster, group, agentId, incarnation };
  }

  forget(connection: number): void {
    this.#meters.delete(connection);
  }

  #isFlooding(connection: number, heard: FrameSize): boolean {
    const meter = withFrames(this.#meters.get(connection), heard, this.#context.unit.nowMs());
    this.#meters.set(connection, meter);
    return exceedsLimit(meter);
  }

  /** Whoever says more than anybody can have to say is not listened to. */
  #cutOff(session: Session, connection: number): void {
    this.#context.host.log.line("warn", "socket_flood", { agent: session.agentId });
    this.#context.unit.commit((nowMs) => this.#parts.lifecycle.disconnect(session, nowMs));
    this.#context.frames.close(connection, "policy");
  }

  /** Whoever reads connects anew, and has lost nothing; whoever does not is told no more. */
  #renew(session: Session, connection: number): void {
    this.#context.host.log.line("info", "socket_renewed", { agent: session.agentId });
    this.#context.unit.commit((nowMs) => this.#parts.lifecycle.disconnectForRenewal(session, nowMs));
    this.#context.frames.close(connection, "renewed");
  }

  #take(request: Request<AgentFrame>): void {
    const { connection, frame, characters, answer } = request;
    if (this.#waitingFrames >= WAITING_FRAMES || this.#waitingCharacters >= WAITING_CHARACTERS) {
      const detail = "too many frames wait to be answered; try again in a moment";
      answer(errorFrame(frame.request_id, { code: "rate_limited", detail }));
      return;
    }
    this.#waitingFrames += 1;
    this.#waitingCharacters += characters;
    if (isReport(request)) {
      this.#parts.pushes.attemptReported(connection.agentId, request.frame.task_id, request.frame.attempt);
      this.#reports.push(request);
    } else this.#own.push(request as Request<OwnFrame>);
    if (this.#isDeferred) return;
    this.#isDeferred = true;
    this.#context.host.defer(() => this.#serve());
  }

  #serve(): void {
    this.#isDeferred = false;
    const own = this.#own;
    this.#own = [];
    if (own.length > 0) this.#serveOwn(own);
    this.#sendReports();
  }

  #serveOwn(requests: readonly Request<OwnFrame>[]): void {
    let answers: ServerFrame[];
    try {
      answers = this.#context.unit.commit((nowMs) =>
        requests.map((request) => this.#serveOne(request, nowMs)),
      );
    } catch (error) {
      // One that breaks must not take the others with it.
      if (requests.length > 1) {
        for (const request of requests) this.#serveOwn([request]);
        return;
      }
      answers = requests.map(({ frame }) => errorFrame(frame.request_id, FAILED));
      this.#context.host.log.line("error", "frame_failed", {
        type: requests[0]?.frame.type,
        error: String(error),
      });
    }
    requests.forEach((request, index) => {
      const answer = answers[index];
      if (answer !== undefined) this.#answer(request, answer);
    });
  }

  #serveOne({ connection, principal, frame }: Request<OwnFrame>, nowMs: number): ServerFrame {
    const { request_id } = frame;
    const session = this.#context.sessions.find(connection.agentId);
    if (session?.incarnation !== connection.incarnation) return outcomeFrame(request_id, sessionExpired());
    switch (frame.type) {
      case "lock_acquire": {
        // Its socket has ended meanwhile: nobody would hear of the grant.
        if (session.connection !== connection.number) return errorFrame(request_id, UNHEARD);
        const { resource, ttl_seconds, wait_seconds } = frame;
        this.#parts.locks.serveLine(resource, nowMs);
        const asked = this.#parts.locks.ask(
          {
            resource,
            agentId: connection.agentId,
            principal,
            ttlMs: ttl_seconds === undefined ? null : ttl_seconds * 1000,
            waitMs: (wait_seconds ?? 0) * 1000,
            requestId: request_id,
            position: null,
          },
          nowMs,
        );
        if (!asked.ok) {
          if (wait_seconds === 0) this.#parts.locks.giveUp(resource, connection.agentId);
          return errorFrame(request_id, asked.problem);
        }
        const { lock } = asked.value;
        if (lock === null) return { type: "ack", request_id, queued: true };
        return { type: "ack", request_id, lock: withFewWaiters(lock) };
      }
      case "lock_renew":
        return outcomeFrame(
          request_id,
          inAnswer(this.#parts.locks.renewNow(frame.resource, frame.fencing_token, principal, nowMs)),
        );
      case "lock_release":
        return outcomeFrame(
          request_id,
          inAnswer(this.#parts.locks.releaseNow(frame.resource, frame.fencing_token, principal, nowMs)),
        );
      case "message_ack":
        this.#parts.messages.remove(connection.agentId, frame.message_id);
        return { type: "ack", request_id };
      case "heartbeat":
        if (frame.load !== undefined && this.#parts.loads.record(session, frame.load)) {
          this.#parts.loads.report(session, frame.load, nowMs);
        }
        return { type: "ack", request_id };
    }
  }

  /**
   * One call at a time, and those that come meanwhile go together: reports arrive in the order in which they came. One
   * whose call was given up for lost may still arrive later; it was answered `unavailable`.
   */
  #sendReports(): void {
    if (this.#isReporting || this.#reports.length === 0) return;
    const sent = this.#reports.splice(0, callLength(this.#reports));
    this.#isReporting = true;
    void this.#report(sent).then((outcomes) => {
      this.#isReporting = false;
      sent.forEach((request, index) => {
        const outcome = outcomes?.[index] ?? UNREACHABLE;
        const answered = outcome.ok ? ok({ task: outcome.value }) : outcome;
        this.#answer(request, outcomeFrame(request.frame.request_id, answered));
      });
      this.#sendReports();
    });
  }

  /** @returns null if the coordinator could not be reached, or did not answer in time */
  async #report(requests: readonly Request<ReportFrame>[]): Promise<Outcome<TaskState>[] | null> {
    const { host } = this.#context;
    const reports = requests.map(({ principal, frame }) => ({ principal, frame }));
    let cancel = () => {};
    const tooLate = new Promise<null>((resolve) => {
      cancel = host.after(REPORT_LIMIT_MS, () => resolve(null));
    });
    try {
      return await Promise.race([host.peers.report(reports), tooLate]);
    } catch (error) {
      host.log.line("warn", "reports_failed", { count: reports.length, error: String(error) });
      return null;
    } finally {
      cancel();
    }
  }

  #answer({ characters, answer }: Request<AgentFrame>, frame: ServerFrame): void {
    this.#waitingFrames -= 1;
    this.#waitingCharacters -= characters;
    answer(frame);
  }
}

const FAILED: Problem = { code: "internal", detail: "the frame could not be served; the log has more" };
const UNHEARD: Problem = { code: "unavailable", detail: "the socket has ended: ask again over another" };
const UNREACHABLE = refuse(
  "unavailable",
  "the coordinator did not answer; it may have heard the report: send it again",
);

function isReport(request: Request<AgentFrame>): request is Request<ReportFrame> {
  return "task_id" in request.frame;
}

/** How many of the reports go together; always one. */
function callLength(reports: readonly Request<ReportFrame>[]): number {
  let characters = 0;
  const length = reports.findIndex((request, index) => {
    characters += request.characters;
    return index > 0 && (index >= REPORTS_PER_CALL || characters > CHARACTERS_PER_CALL);
  });
  return length < 0 ? reports.length : length;
}

function inAnswer(outcome: Outcome<Lock>): Outcome<{ lock: Lock }> {
  return outcome.ok ? ok({ lock: withFewWaiters(outcome.value) }) : outcome;
}

/** Thousands of answers in a tick must not each name a thousand waiters. */
function withFewWaiters(lock: Lock): Lock {
  return { ...lock, waiters: lock.waiters.slice(0, WAITERS_TOLD) };
}

function outcomeFrame(requestId: string, outcome: Outcome<{ task?: TaskState; lock?: Lock }>): ServerFrame {
  return outcome.ok
    ? { type: "ack", request_id: requestId, ...outcome.value }
    : errorFrame(requestId, outcome.problem);
}
