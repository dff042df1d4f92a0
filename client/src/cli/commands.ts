/** Every command, in the order of the help. */
import { agentCommands } from "./agents.ts";
import { clusterCommands } from "./cluster.ts";
import type { Command } from "./command.ts";
import { configCommands } from "./config.ts";
import { explainCommands } from "./explain.ts";
import { failureCommands } from "./failures.ts";
import { lockCommands } from "./locks.ts";
import { notificationCommands } from "./notifications.ts";
import { submitCommands } from "./submit.ts";
import { taskCommands } from "./tasks.ts";

export const COMMANDS: readonly Command[] = [
  ...clusterCommands,
  ...agentCommands,
  ...taskCommands,
  ...submitCommands,
  ...explainCommands,
  ...failureCommands,
  ...lockCommands,
  ...notificationCommands,
  ...configCommands,
];
