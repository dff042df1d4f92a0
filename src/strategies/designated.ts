/** Ordered lists of designated backups: an agent's position in the list, and a weight that outweighs all other factors. */
import type { DecisionContext, Factors, PlaceableTask, Weights } from "./strategy.ts";

/** Backups are for taking over: at the first placement no agent is preferred. */
function namedBackups(task: PlaceableTask, { fromAgent }: DecisionContext): readonly string[] {
  return fromAgent !== null && task.hasOwnBackups ? task.backups : [];
}

/** The list named for the task if there is one, else the list configured for the agent that the task is taken from. */
export function designatedBackups(task: PlaceableTask, context: DecisionContext): readonly string[] {
  const named = namedBackups(task, context);
  return named.length > 0 ? named : configuredBackups(context);
}

/** `backup_agents` of the agent the task is taken from. */
export function configuredBackups({ config, fromAgent }: DecisionContext): readonly string[] {
  if (fromAgent === null || !Object.hasOwn(config.backup_agents, fromAgent)) return [];
  const configured = config.backup_agents[fromAgent];
  return typeof configured === "string" ? [configured] : (configured ?? []);
}

/** The weights with the list put before everything else. */
export function withList(backups: readonly string[], weights: Weights): Weights {
  return backups.length === 0 ? weights : { designated: decisiveWeight(backups, weights), ...weights };
}

/** The factors with the candidate's position in the list. */
export function withPosition(backups: readonly string[], agentId: string, factors: Factors): Factors {
  return backups.length === 0 ? factors : { designated: positionFactor(backups, agentId), ...factors };
}

/** In 0..1: 1 for the first of the list, 0 for an agent that is not on it. */
function positionFactor(backups: readonly string[], agentId: string): number {
  const position = backups.indexOf(agentId);
  return position < 0 ? 0 : (backups.length - position) / backups.length;
}

/** A weight by which one position in the list counts more than all other factors together. */
function decisiveWeight(backups: readonly string[], others: Weights): number {
  const otherSum = Object.values(others).reduce((sum, weight) => sum + weight, 0);
  return backups.length * (otherSum + 1);
}
