/**
 * Receives the frames of agents: checks that the socket may be used, bounds what agents send, and serves the frames of one
 * tick together. A frame is in memory alone until it is answered; an agent that gets no answer asks again.
 *
 *   data --session ended | replaced | too much--> socket closed
 *     '--parsed--> frames --task reports--> TaskReportRelay --> coordinator
 *                    '------all others----> GroupFrames
 */
import type { ServerFrame } from "../../../contract/socket.ts";
import type { AgentPrincipal } from "../../../domain/principal.ts";
import { parseFrames } from "../../../protocol/frame-parser.ts";
import {
  exceedsLimit,
  type FrameCount,
  type FrameSize,
  withFrames,
} from "../../../protocol/frame-rate-limit.ts";
import type { Connection } from "../../host.ts";
import type { GroupContext } from "../group-context.ts";
import type { SessionLifecycle } from "../liveness/session-lifecycle.ts";
import type { Session } from "../liveness/sessions.ts";
import type { AgentPushes } from "./agent-pushes.ts";
import { type FrameRequest, type GroupFrame, isReport } from "./frame-request.ts";
import { errorFrame } from "./frame-sender.ts";
import { type FrameServices, GroupFrames } from "./group-frames.ts";
import { TaskReportRelay } from "./task-report-relay.ts";

/** Frames of all agents that wait to be answered, and their length in all. */
const WAITING_FRAMES = 100_000;
const WAITING_CHARACTERS = 64 * 1024 * 1024;

type Collaborators = Pick<GroupContext, "cluster" | "group" | "host" | "unit" | "sessions" | "frames">;

export type FrameHandlerParts = FrameServices & {
  lifecycle: SessionLifecycle;
  pushes: Pick<AgentPushes, "attemptReported">;
};

export class FrameHandler {
  readonly #context: Collaborators;
  readonly #parts: FrameHandlerParts;
  readonly #groupFrames: GroupFrames;
  readonly #relay: TaskReportRelay;
  readonly #frameCounts = new Map<number, FrameCount>();
  /** Received in this tick. */
  #received: FrameRequest<GroupFrame>[] = [];
  #isDeferred = false;
  #waitingFrames = 0;
  #waitingCharacters = 0;

  constructor(context: Collaborators, parts: FrameHandlerParts) {
    this.#context = context;
    this.#parts = parts;
    this.#groupFrames = new GroupFrames(context, parts);
    this.#relay = new TaskReportRelay(context.host, (request, frame) => this.#answer(request, frame));
  }

  /** Takes what came over a socket; the answers leave later, in order. */
  receive(connection: Connection, data: string | ArrayBuffer): void {
    const session = this.#parts.lifecycle.recordSign(connection.agentId, connection.incarnation);
    const { number } = connection;
    const { frames } = this.#context;
    if (session === null) {
      frames.expire(number, this.#context.sessions.endOf(connection.agentId, connection.incarnation));
      return;
    }
    // The agent has another socket.
    if (session.connection !== number) {
      frames.close(number, "replaced");
      return;
    }
    if (frames.exceedsUnreadLimit(number)) {
      this.#renew(session, number);
      return;
    }
    const characters = typeof data === "string" ? data.length : data.byteLength;
    // Data beyond the limit is not parsed.
    const isTooMuch = this.#isOverLimit(number, { frames: 1, characters });
    const parsed = isTooMuch ? [] : parseFrames(data);
    if (isTooMuch || this.#isOverLimit(number, { frames: parsed.length - 1, characters: 0 })) {
      this.#cutOff(session, number);
      return;
    }
    const principal = this.#principalOf(connection);
    for (const item of parsed) {
      const answer = frames.reserveAnswer(number);
      if (!item.ok) answer(errorFrame(item.requestId, item.problem));
      else this.#accept({ connection, principal, frame: item.frame, characters: item.characters, answer });
    }
  }

  /** The connection has ended. */
  forget(connection: number): void {
    this.#frameCounts.delete(connection);
  }

  /** The agent's token was checked when its socket was opened. */
  #principalOf({ agentId, incarnation }: Connection): AgentPrincipal {
    const { cluster, group } = this.#context;
    return { role: "agent", cluster, group, agentId, incarnation };
  }

  #isOverLimit(connection: number, received: FrameSize): boolean {
    const count = withFrames(this.#frameCounts.get(connection), received, this.#context.unit.nowMs());
    this.#frameCounts.set(connection, count);
    return exceedsLimit(count);
  }

  /** The agent sends more than any agent can have to say. */
  #cutOff(session: Session, connection: number): void {
    this.#context.host.log.line("warn", "socket_flood", { agent: session.agentId });
    this.#context.unit.commit((nowMs) => this.#parts.lifecycle.disconnect(session, nowMs));
    this.#context.frames.close(connection, "policy");
  }

  /** An agent that reads connects anew and has lost nothing; to an agent that does not read, no more is sent. */
  #renew(session: Session, connection: number): void {
    this.#context.host.log.line("info", "socket_renewed", { agent: session.agentId });
    this.#context.unit.commit((nowMs) => this.#parts.lifecycle.disconnectForRenewal(session, nowMs));
    this.#context.frames.close(connection, "renewed");
  }

  #accept(request: FrameRequest): void {
    if (this.#waitingFrames >= WAITING_FRAMES || this.#waitingCharacters >= WAITING_CHARACTERS) {
      const detail = "too many frames wait to be answered; try again in a moment";
      request.answer(errorFrame(request.frame.request_id, { code: "rate_limited", detail }));
      return;
    }
    this.#waitingFrames += 1;
    this.#waitingCharacters += request.characters;
    if (isReport(request)) {
      const { task_id, attempt } = request.frame;
      this.#parts.pushes.attemptReported(request.principal.agentId, task_id, attempt);
      this.#relay.add(request);
    } else this.#received.push(request as FrameRequest<GroupFrame>);
    if (this.#isDeferred) return;
    this.#isDeferred = true;
    this.#context.host.defer(() => this.#serve());
  }

  #serve(): void {
    this.#isDeferred = false;
    const requests = this.#received;
    this.#received = [];
    if (requests.length > 0) {
      const answers = this.#groupFrames.serve(requests);
      requests.forEach((request, index) => {
        const answer = answers[index];
        if (answer !== undefined) this.#answer(request, answer);
      });
    }
    this.#relay.send();
  }

  #answer({ characters, answer }: FrameRequest, frame: ServerFrame): void {
    this.#waitingFrames -= 1;
    this.#waitingCharacters -= characters;
    answer(frame);
  }
}
