/** The Durable Object of a cluster's coordinator: passes calls to the service. */
import type { AgentFilter, DrainRequest, Registration } from "../contract/agent.ts";
import type { FailureFilter } from "../contract/failure.ts";
import type { FailoverSimulation } from "../contract/placement/failover-simulation.ts";
import type {
  TaskCompletion,
  TaskFailure,
  TaskFilter,
  TaskProgress,
  TaskResult,
  TaskStart,
  TaskSubmission,
} from "../contract/task.ts";
import type { Principal } from "../domain/principal.ts";
import type { MessageBatch } from "../protocol/message-batch.ts";
import type { CoordinatorCalls, TaskReport, UnstartedRead } from "../protocol/object-calls.ts";
import { Coordinator as Service } from "../services/coordinator/coordinator.ts";
import type { HeldTasksQuery } from "../services/coordinator/queries.ts";
import { BaseObject } from "./base-object.ts";
import { baseConfig } from "./bundled-config.ts";
import { nameOf } from "./durable-host.ts";
import type { Env } from "./env.ts";

export class Coordinator extends BaseObject<Service> implements CoordinatorCalls {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { cluster: nameOf(ctx), create: (host) => new Service(host, baseConfig()) });
  }

  receive(batch: MessageBatch) {
    return this.service.receive(batch);
  }

  register(agent: { group: string; agentId: string }, body: Registration, principal: Principal) {
    return this.service.register(agent, body, principal);
  }

  drain(agentId: string, request: DrainRequest, principal: Principal) {
    return this.service.drain(agentId, request, principal);
  }

  resume(agentId: string, principal: Principal) {
    return this.service.resume(agentId, principal);
  }

  agent(agentId: string) {
    return this.service.queries.agent(agentId);
  }

  agents(filter: AgentFilter, limit: number, afterId: string | null) {
    return this.service.queries.agents(filter, limit, afterId);
  }

  submit(submission: TaskSubmission) {
    return this.service.submit(submission);
  }

  submitBatch(submissions: readonly TaskSubmission[]) {
    return this.service.submitBatch(submissions);
  }

  start(taskId: string, report: TaskStart, principal: Principal) {
    return this.service.start(taskId, report, principal);
  }

  progress(taskId: string, report: TaskProgress, principal: Principal) {
    return this.service.progress(taskId, report, principal);
  }

  complete(taskId: string, report: TaskCompletion, principal: Principal) {
    return this.service.complete(taskId, report, principal);
  }

  fail(taskId: string, report: TaskFailure, principal: Principal) {
    return this.service.fail(taskId, report, principal);
  }

  settleBatch(results: readonly TaskResult[], principal: Principal) {
    return this.service.settleBatch(results, principal);
  }

  reportAll(reports: readonly TaskReport[]) {
    return this.service.reportAll(reports);
  }

  unstartedTasks(reads: readonly UnstartedRead[]) {
    return this.service.queries.unstartedTasks(reads);
  }

  lateResults(taskId: string, limit: number, cursor: string | null) {
    return this.service.queries.lateResults(taskId, limit, cursor);
  }

  acceptLateResult(taskId: string, attempt: number) {
    return this.service.acceptLateResult(taskId, attempt);
  }

  cancel(taskId: string) {
    return this.service.cancel(taskId);
  }

  retry(taskId: string) {
    return this.service.retry(taskId);
  }

  setBackups(taskId: string, backups: readonly string[]) {
    return this.service.setBackups(taskId, backups);
  }

  task(taskId: string) {
    return this.service.queries.task(taskId);
  }

  tasks(filter: TaskFilter, limit: number, cursor: string | null) {
    return this.service.queries.tasks(filter, limit, cursor);
  }

  forget(agentId: string) {
    return this.service.forget(agentId);
  }

  tasksOf(agentId: string, query: HeldTasksQuery, principal: Principal) {
    return this.service.queries.tasksOf(agentId, query, principal);
  }

  decisions(taskId: string, limit: number, cursor: string | null) {
    return this.service.queries.decisions(taskId, limit, cursor);
  }

  failure(failureId: string) {
    return this.service.queries.failure(failureId);
  }

  failures(filter: FailureFilter, limit: number, cursor: string | null) {
    return this.service.queries.failures(filter, limit, cursor);
  }

  events(afterId: number, limit: number) {
    return this.service.queries.events(afterId, limit);
  }

  lastEventId() {
    return this.service.queries.lastEventId();
  }

  groups() {
    return this.service.queries.groups();
  }

  status() {
    return this.service.queries.status();
  }

  simulateFailover(simulation: FailoverSimulation) {
    return this.service.simulateFailover(simulation);
  }

  readiness() {
    return this.service.readiness();
  }

  config() {
    return this.service.config.get();
  }

  configChanges(limit: number, cursor: string | null) {
    return this.service.config.history.list(limit, cursor);
  }

  putConfig(body: unknown, ifMatch: string | null) {
    return this.service.config.replace(body, ifMatch);
  }

  patchConfig(body: unknown, ifMatch: string | null) {
    return this.service.config.patch(body, ifMatch);
  }
}
