/** Every strategy there is, and which one the configuration asks for. */
import type { Config } from "../contract/config.ts";
import { basic } from "./basic.ts";
import type { Strategy } from "./strategy.ts";

export const STRATEGIES: readonly Strategy[] = [basic];

/** The strategy that decides under this configuration. */
export function strategyFor(_config: Config["failover_config"]): Strategy {
  return basic;
}
