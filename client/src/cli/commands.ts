/** Every command, in the order of the help. */
import type { Command } from "./command.ts";
import { agentCommands } from "./commands/agents.ts";
import { clusterCommands } from "./commands/cluster.ts";
import { configCommands } from "./commands/config.ts";
import { explainCommands } from "./commands/explain.ts";
import { failureCommands } from "./commands/failures.ts";
import { incidentCommands } from "./commands/incidents.ts";
import { lateResultCommands } from "./commands/late-results.ts";
import { lockCommands } from "./commands/locks.ts";
import { notificationCommands } from "./commands/notifications.ts";
import { simulateCommands } from "./commands/simulate.ts";
import { submitCommands } from "./commands/submit.ts";
import { taskChangeCommands } from "./commands/task-changes.ts";
import { taskCommands } from "./commands/tasks.ts";
import { watchCommands } from "./commands/watch.ts";

export const COMMANDS: readonly Command[] = [
  ...clusterCommands,
  ...simulateCommands,
  ...watchCommands,
  ...agentCommands,
  ...taskCommands,
  ...submitCommands,
  ...explainCommands,
  ...taskChangeCommands,
  ...lateResultCommands,
  ...failureCommands,
  ...incidentCommands,
  ...lockCommands,
  ...notificationCommands,
  ...configCommands,
];
