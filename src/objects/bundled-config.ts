/** The configuration file this deployment was built with, read and checked once. */
import text from "../../configs/distributed_config.json";
import type { Config } from "../contract/config.ts";
import { parseConfigFile } from "../validation/configuration/config-file.ts";

export const configFile = parseConfigFile(text);

/** For the objects: they are reached only where the file is valid, the Worker sees to that. */
export function baseConfig(): Config {
  if (!configFile.ok) throw new Error("configs/distributed_config.json is not valid");
  return configFile.config;
}
