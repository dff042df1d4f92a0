/** The command that reads and changes the configuration, key by key. */
import type { ConfigChange } from "../index.ts";
import { ANY, type Command, keyValue, UsageError } from "./command.ts";

export const configCommands: readonly Command[] = [
  {
    name: "config",
    usage: "get [KEY] | set KEY=VALUE...",
    summary: "Show or change the configuration",
    help: "  KEY is a path such as failover_config.enabled. VALUE is JSON or text; null resets to the configuration file.\n",
    arity: [1, ANY],
    options: {},
    async run({ coordinator, words: [verb, ...words], printer }) {
      if (verb === "get" && words.length <= 1) {
        const { config } = await coordinator.config.get();
        const [key] = words;
        const value = key === undefined || Object(config) !== config ? config : valueAt(config, key);
        const show = () => {
          const shown = typeof value === "string" ? value : JSON.stringify(value, null, 2);
          for (const line of shown.split("\n")) printer.line(line);
        };
        printer.show(config, show, value);
        return;
      }
      if (verb !== "set" || words.length === 0)
        throw new UsageError("usage: config get [KEY] or config set KEY=VALUE...");
      const change = {};
      for (const word of words) put(change, ...keyValue(word));
      const { config, pendingGroups, applied } = await coordinator.config.patch(change as ConfigChange);
      printer.show(config, () => {
        for (const word of words)
          printer.line(keyValue(word)[0], "=", JSON.stringify(valueAt(config, keyValue(word)[0])));
        if (applied.agents > 0) printer.line(`live agents with the new heartbeat timeout: ${applied.agents}`);
        if (applied.keep_own > 0)
          printer.line(`live agents that keep a heartbeat timeout of their own: ${applied.keep_own}`);
        if (pendingGroups.length > 0)
          printer.line(`groups that have not applied it yet: ${pendingGroups.join(", ")}`);
      });
    },
  },
];

function valueAt(config: object, key: string): unknown {
  let value: unknown = config;
  for (const part of key.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) {
      throw new UsageError(
        `unknown configuration key ${key}. Run failover-coordinator config get for the list.`,
      );
    }
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

function put(change: Record<string, unknown>, key: string, value: string): void {
  const parts = key.split(".");
  const last = parts.pop() ?? "";
  let parent = change;
  for (const part of parts) {
    if (!Object.hasOwn(parent, part)) Object.defineProperty(parent, part, { value: {}, enumerable: true });
    parent = parent[part] as Record<string, unknown>;
  }
  let parsed: unknown = value;
  try {
    parsed = JSON.parse(value);
  } catch {
    // Not JSON: plain text.
  }
  Object.defineProperty(parent, last, { value: parsed, enumerable: true, configurable: true });
}
