/**
 * Mutants: small changes that each break a guarantee of the product. The unit tests, the scenarios or the simulation
 * have to notice each of them (see run.ts). A mutant that none notices is a missing test.
 */

export type Mutant = {
  readonly name: string;
  /** What no longer holds. */
  readonly breaks: string;
  readonly file: string;
  /** Occurs once in the file. */
  readonly from: string;
  readonly to: string;
};

export const MUTANTS: readonly Mutant[] = [
  // No agent is failed early, or for an outage of the coordinator.
  {
    name: "second-check-always-passes",
    breaks: "an agent whose heartbeat waits in a queue is not declared failed",
    file: "src/services/agent-group/liveness/liveness-monitor.ts",
    from: "const isSecondCheck = this.#firstCheckMs !== null && nowMs >= this.#firstCheckMs + SECOND_CHECK_DELAY_MS;",
    to: "const isSecondCheck = true;",
  },
  {
    name: "deadline-before-timeout",
    breaks: "no agent is declared failed before its whole timeout has passed",
    file: "src/domain/liveness.ts",
    from: "return Math.max(signs.lastSignMs, signs.extendedAtMs) + timeoutMs;",
    to: "return Math.max(signs.lastSignMs, signs.extendedAtMs) + timeoutMs * 0.9;",
  },
  {
    name: "restart-extends-nothing",
    breaks: "an outage of the coordinator is no failure of an agent",
    file: "src/domain/coordinator-outage.ts",
    from: "return storedBootId !== null && storedBootId !== bootId;",
    to: "return false;",
  },
  {
    name: "late-alarm-is-no-outage",
    breaks: "a pause of the coordinator is no failure of an agent",
    file: "src/domain/coordinator-outage.ts",
    from: "return nowMs - dueMs > LATENESS_FLOOR_MS + LATENESS_SHARE * shortestTimeoutMs;",
    to: "return false;",
  },
  {
    name: "silence-extended-for-ever",
    breaks: "a clock that is always late does not hide a failure",
    file: "src/domain/liveness.ts",
    from: "if (signs.extensions >= MAX_EXTENSIONS) return signs;",
    to: "",
  },
  // At most one holder of a lock, under tokens that grow.
  {
    name: "locks-not-extended-after-a-pause",
    breaks: "a lock does not end because the coordinator was away",
    file: "src/services/agent-group/liveness/liveness-monitor.ts",
    from: "    this.#context.locks.extendAll(fromMs);\n",
    to: "",
  },
  {
    name: "waiter-overtaken",
    breaks: "a lock goes to its waiters in the order of their requests",
    file: "src/services/agent-group/locks/lock-service.ts",
    from: "if (this.#context.lockQueue.lengthOf(resource) > 0) this.#granter.grantNext(resource, nowMs);",
    to: "",
  },
  {
    name: "locks-outlive-their-holder",
    breaks: "the locks of a failed agent are released with it",
    file: "src/services/agent-group/liveness/session-lifecycle.ts",
    from: 'const keepsLocks = cause.ending === "failed" && !settings.failoverEnabled;',
    to: 'const keepsLocks = cause.ending === "failed";',
  },
  {
    name: "old-token-renews",
    breaks: "only the current fencing token changes a lock",
    file: "src/services/agent-group/locks/lock-service.ts",
    from: "if (!isHeld(lock) || lock.fencingToken !== fencingToken) {",
    to: "if (!isHeld(lock)) {",
  },
  // Messages between objects are applied once, in order, and not lost.
  {
    name: "last-message-applied-again",
    breaks: "a message between objects is applied once",
    file: "src/services/inbox.ts",
    from: "if (number <= through) continue;",
    to: "if (number < through) continue;",
  },
  {
    name: "application-not-recorded",
    breaks: "a message that is repeated after a crash is not applied again",
    file: "src/services/inbox.ts",
    from: "        this.#store.record(stream, number);\n",
    to: "",
  },
  // No accepted task is lost; after faults end, every task that can run completes.
  {
    name: "latest-deadline-armed",
    breaks: "a task times out in time",
    file: "src/domain/deadlines.ts",
    from: "(earliest, next) => (earliest === null || next.atMs < earliest.atMs ? next : earliest),",
    to: "(earliest, next) => (earliest === null || next.atMs > earliest.atMs ? next : earliest),",
  },
  {
    name: "failover-forgets-its-rest",
    breaks: "a failover that a crash interrupts continues",
    file: "src/services/coordinator/maintenance.ts",
    from: "background.hasWork ? nowMs + SAFETY_NET_MS : null,",
    to: "null,",
  },
  {
    name: "back-off-never-ends",
    breaks: "a failed task is tried again after its back-off",
    file: "src/services/coordinator/maintenance.ts",
    from: "      tasks.store.pending.earliestBackOffMs(),\n",
    to: "",
  },
  // One current attempt, and one end, for each task.
  {
    name: "stale-attempt-accepted",
    breaks: "a report under an old attempt changes nothing",
    file: "src/domain/task-lifecycle.ts",
    from: 'if (task.attempt !== attempt || task.holder !== agentId) return "stale";',
    to: 'if (task.holder !== agentId) return "stale";',
  },
  {
    name: "attempt-number-used-again",
    breaks: "each assignment has a number of its own",
    file: "src/domain/task-lifecycle.ts",
    from: "    attempt: task.attempt + 1,\n",
    to: "    attempt: Math.max(1, task.attempt),\n",
  },
  {
    name: "reassigned-for-ever",
    breaks: "max_reassignment_attempts ends a task",
    file: "src/services/coordinator/failover/attempt-loss.ts",
    from: "if (unplaced.reassignmentCount > config.failover_config.max_reassignment_attempts) {",
    to: "if (unplaced.reassignmentCount > 1000) {",
  },
  // One record for each failure, covered by a message on each channel.
  {
    name: "restart-not-counted",
    breaks: "a process that takes the id of a live agent is recorded as a crash",
    file: "src/domain/replacement.ts",
    from: '  return { kind: "crashed", live: session };',
    to: '  return { kind: "continued" };',
  },
  {
    name: "fight-not-stopped",
    breaks: "two processes do not take one id from each other again and again",
    file: "src/services/coordinator/agents/registration.ts",
    from: "const isConflict = known.conflictUntilMs !== null && nowMs < known.conflictUntilMs;",
    to: "return null;\n    const isConflict = false;",
  },
  {
    name: "orderly-end-recorded",
    breaks: "an agent that unregistered leaves no record",
    file: "src/domain/replacement.ts",
    from: '  if ((known.endedIncarnation ?? 0) >= live.incarnation) return { kind: "ended" };\n',
    to: "",
  },
  {
    name: "failure-recorded-twice",
    breaks: "the end of an incarnation is recorded once",
    file: "src/services/coordinator/failover/failover.ts",
    from: "    if (agent?.replaced?.incarnation === message.incarnation) return;\n",
    to: "",
  },
  {
    name: "failures-not-notified",
    breaks: "each failure is covered by a message on each channel",
    file: "src/services/notifier/incident-grouper.ts",
    from: "    this.#context.coveredFailures.save(failure.id, { incidentId: incident.id, key });\n    const before",
    to: "    const before",
  },
];

/** The content of the file with the mutant in it. @throws if the place of the mutant is not unique */
export function mutated({ name, file, from, to }: Mutant, code: string): string {
  const places = code.split(from).length - 1;
  if (places !== 1) throw new Error(`mutant ${name}: its text occurs ${places} times in ${file}, not once`);
  return code.replace(from, () => to);
}
