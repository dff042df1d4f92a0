/** The TypeScript client of the failover coordinator: everything that is public. */
export { Agent, type AgentOptions } from "./agent/agent.ts";
export type { AgentEvents, Listener } from "./agent/agent-events.ts";
export type { LockOptions } from "./agent/lock-service.ts";
export type { MessageHandler } from "./agent/mailbox.ts";
export type { Attempt, Handler } from "./agent/task-runner.ts";
export type { AgentCallOptions, DrainOptions } from "./coordinator/agents.ts";
export type {
  Change,
  ConfigChange,
  ConfigChanged,
  ConfigOptions,
  ConfigState,
} from "./coordinator/config.ts";
export { DistributedCoordinator, type Registered } from "./coordinator/coordinator.ts";
export type { EventOptions } from "./coordinator/event-stream.ts";
export type { Listing, Page, PageOptions } from "./coordinator/listing.ts";
export { isFinished, type Placement, type Submitted, type WaitOptions } from "./coordinator/tasks.ts";
export * from "./errors.ts";
export type { CallOptions, ClientOptions } from "./http.ts";
export type {
  AgentFilter,
  AgentMessage,
  AgentView,
  AppliedDefaults,
  ClusterEvent,
  ClusterStatus,
  Config,
  ConfigRevision,
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
