/** Records of the coordinator for tests, with defaults for the fields that a test does not need. */
import type { AgentRecord } from "../../src/domain/agent.ts";
import { newHistory, type ReliabilityHistory } from "../../src/domain/reliability.ts";
import { newTask, type TaskRecord } from "../../src/domain/task.ts";

/** An active agent without tasks that can do `resize`. */
export function agentRecord(overrides: Partial<AgentRecord> = {}): AgentRecord {
  return {
    id: "a",
    group: "default",
    type: "worker",
    capabilities: ["resize"],
    endpoint: null,
    labels: {},
    maxConcurrentTasks: 10,
    heartbeatIntervalMs: 10_000,
    heartbeatTimeoutMs: 30_000,
    hasOwnTimeout: false,
    status: "active",
    drain: null,
    incarnation: 1,
    registeredAtMs: 0,
    registeredBy: "admin",
    lastHeartbeatAtMs: null,
    isLeaving: false,
    cooldownUntilMs: null,
    failureCount: 0,
    tasksCompleted: 0,
    tasksFailed: 0,
    taskMsTotal: 0,
    load: null,
    reliabilityHistory: newHistory(0),
    performance: {},
    instance: null,
    replaced: null,
    conflictUntilMs: null,
    ...overrides,
  };
}

/** A pending task that has just been submitted. */
export function taskRecord(overrides: Partial<TaskRecord> = {}): TaskRecord {
  const content = {
    id: "t",
    fingerprint: "",
    type: "resize",
    priority: 5,
    data: null,
    backups: [],
    hasOwnBackups: false,
    group: null,
    requiredLabels: {},
    timeoutMs: null,
    progressTimeoutMs: null,
    startTimeoutMs: null,
    lateResultPolicy: "keep",
    createdAtMs: 0,
  } as const;
  return { ...newTask(content), ...overrides };
}

/** With the prior's 5 samples of 0.9 there are 1,024 in all: a power of two, so that no estimate is rounded. */
const SAMPLES = 1024 - 5;
const PRIOR_WEIGHT = 0.9 * 5;

/** A history with exactly this estimated reliability at that instant. */
export function historyOf(reliability: number, atMs: number): ReliabilityHistory {
  const goodWeight = reliability * 1024 - PRIOR_WEIGHT;
  return { goodWeight, badWeight: SAMPLES - goodWeight, atMs };
}
