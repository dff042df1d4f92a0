/** The registry of strategies, and the strategy that the configuration selects. */
import type { Config } from "../contract/config.ts";
import type { StrategyName } from "../contract/placement/decision.ts";
import { backupAgent } from "./backup-agent.ts";
import { basic } from "./basic.ts";
import { failover } from "./failover.ts";
import type { Strategy } from "./strategy.ts";

const BY_NAME: Readonly<Record<StrategyName, Strategy>> = { basic, failover, backup_agent: backupAgent };

export const STRATEGIES: readonly Strategy[] = Object.values(BY_NAME);

/** The strategy that decides under this configuration. */
export function strategyFor(config: Config["failover_config"]): Strategy {
  return config.use_failover_strategy ? BY_NAME[config.failover_strategy_type] : basic;
}
