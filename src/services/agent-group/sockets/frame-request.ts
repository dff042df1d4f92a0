/** A frame of an agent that is to be answered, and the forms of its answers. */
import type { Lock } from "../../../contract/lock.ts";
import type { Outcome } from "../../../contract/problem.ts";
import type { AgentFrame, ServerFrame } from "../../../contract/socket.ts";
import type { TaskState } from "../../../contract/task.ts";
import type { AgentPrincipal } from "../../../domain/principal.ts";
import type { TaskReport } from "../../../protocol/object-calls.ts";
import type { Connection } from "../../host.ts";
import { errorFrame } from "./frame-sender.ts";

/** A report on a task, which the coordinator serves. */
export type ReportFrame = TaskReport["frame"];

/** Any other frame, which the group serves itself. */
export type GroupFrame = Exclude<AgentFrame, ReportFrame>;

export type FrameRequest<Frame extends AgentFrame = AgentFrame> = {
  connection: Connection;
  principal: AgentPrincipal;
  frame: Frame;
  /** About the length of the frame, for bounds. */
  characters: number;
  answer(frame: ServerFrame): void;
};

export function isReport(request: FrameRequest): request is FrameRequest<ReportFrame> {
  return "task_id" in request.frame;
}

export function outcomeFrame(
  requestId: string,
  outcome: Outcome<{ task?: TaskState; lock?: Lock }>,
): ServerFrame {
  return outcome.ok
    ? { type: "ack", request_id: requestId, ...outcome.value }
    : errorFrame(requestId, outcome.problem);
}
