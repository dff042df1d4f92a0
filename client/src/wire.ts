/**
 * The types on the wire, from the schemas of the contract: members in snake_case, instants as RFC 3339 text, durations
 * in seconds. The published declarations contain them written out (scripts/client/wire-types.ts).
 */
import type * as z from "zod";
import type * as agent from "../../src/contract/agent.ts";
import type * as cluster from "../../src/contract/cluster.ts";
import type * as revision from "../../src/contract/config/revision.ts";
import type * as config from "../../src/contract/config.ts";
import type * as event from "../../src/contract/event.ts";
import type * as failure from "../../src/contract/failure.ts";
import type * as incident from "../../src/contract/incident.ts";
import type * as lock from "../../src/contract/lock.ts";
import type * as message from "../../src/contract/message.ts";
import type * as notification from "../../src/contract/notification.ts";
import type * as decision from "../../src/contract/placement/decision.ts";
import type * as simulation from "../../src/contract/placement/failover-simulation.ts";
import type * as problem from "../../src/contract/problem.ts";
import type * as socket from "../../src/contract/socket.ts";
import type * as task from "../../src/contract/task.ts";

export type JsonValue = z.core.util.JSONType;
export type ErrorCode = problem.ErrorCode;
export type FieldError = problem.FieldError;
export type TaskStatus = task.TaskStatus;
export type TaskSubmission = z.input<typeof task.TaskSubmission>;
export type TaskFilter = z.input<typeof task.TaskFilter>;
export type Task = task.Task;
export type LateResult = task.LateResult;
export type Decision = decision.Decision;
export type Load = agent.Load;
export type Registration = z.input<typeof agent.Registration>;
export type AgentView = agent.Agent;
export type HeartbeatAnswer = agent.HeartbeatAnswer;
export type AgentFilter = z.input<typeof agent.AgentFilter>;
export type FailureReport = z.input<typeof agent.FailureReport>;
export type DrainMode = agent.DrainMode;
export type RevocationReason = socket.RevocationReason;
export type MessageSending = z.input<typeof message.MessageSending>;
export type AgentMessage = message.AgentMessage;
export type Lock = lock.Lock;
export type Failure = failure.Failure;
export type FailureFilter = z.input<typeof failure.FailureFilter>;
export type Incident = incident.Incident;
export type IncidentFilter = z.input<typeof incident.IncidentFilter>;
export type Notification = notification.Notification;
export type NotificationFilter = z.input<typeof notification.NotificationFilter>;
export type NotificationTestResult = notification.NotificationTestResult;
export type ConfigRevision = revision.ConfigRevision;
export type ClusterEvent = event.Event;
export type ClusterStatus = cluster.ClusterStatus;
export type SimulatedFailover = simulation.SimulatedFailover;
export type Readiness = simulation.Readiness;
export type Config = config.Config;
export type AppliedDefaults = config.AppliedDefaults;
export type ServerFrame = socket.ServerFrame;
