/** The TypeScript client of the failover coordinator. */
export { Agent, type AgentOptions } from "./agent.ts";
export type { AgentCallOptions, DrainOptions } from "./agents.ts";
export type { Change, ConfigChange, ConfigOptions, ConfigState } from "./config.ts";
export { DistributedCoordinator, type Registered } from "./coordinator.ts";
export * from "./errors.ts";
export type { EventOptions } from "./events.ts";
export type { CallOptions, ClientOptions } from "./http.ts";
export type { Listing, Page, PageOptions } from "./listing.ts";
export type { LockOptions } from "./lock.ts";
export type { MessageHandler } from "./mailbox.ts";
export type { AgentEvents, Listener } from "./signals.ts";
export type { Attempt, Handler } from "./task-runner.ts";
export { isFinished, type Placement, type Submitted, type WaitOptions } from "./tasks.ts";
export type {
  AgentFilter,
  AgentMessage,
  AgentView,
  ClusterEvent,
  ClusterStatus,
  Config,
  Decision,
  DrainMode,
  ErrorCode,
  Failure,
  FailureFilter,
  FailureReport,
  FieldError,
  Incident,
  IncidentFilter,
  JsonValue,
  LateResult,
  Load,
  Lock,
  MessageSending,
  Notification,
  NotificationFilter,
  NotificationTestResult,
  Readiness,
  Registration,
  RevocationReason,
  SimulatedFailover,
  Task,
  TaskFilter,
  TaskStatus,
  TaskSubmission,
} from "./wire.ts";
