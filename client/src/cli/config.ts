/** The command that reads and changes the configuration, key by key. */
import type { ConfigChange } from "../index.ts";
import { ANY, type Command, keyValue, UsageError } from "./command.ts";

export const configCommands: readonly Command[] = [
  {
    name: "config",
    usage: "get [KEY] | set KEY=VALUE...",
    summary: "reads or changes the configuration",
    help: "  KEY is a path such as failover_config.enabled; VALUE is JSON, or text; null goes back to the file\n",
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
        throw new UsageError("config get [KEY] or config set KEY=VALUE...");
      const change = {};
      for (const word of words) put(change, ...keyValue(word));
      const { config, pendingGroups } = await coordinator.config.patch(change as ConfigChange);
      printer.show(config, () => {
        for (const word of words)
          printer.line(keyValue(word)[0], "=", JSON.stringify(valueAt(config, keyValue(word)[0])));
        if (pendingGroups.length > 0) printer.line(`not yet in ${pendingGroups.join(", ")}`);
      });
    },
  },
];

function valueAt(config: object, key: string): unknown {
  let value: unknown = config;
  for (const part of key.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) {
      throw new UsageError(`the configuration has no ${key}`);
    }
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

function put(change: Record<string, unknown>, key: string, value: string): void {
  const parts = key.split(".");
  const last = parts.pop() ?? "";
  let place = change;
  for (const part of parts) {
    if (!Object.hasOwn(place, part)) Object.defineProperty(place, part, { value: {}, enumerable: true });
    place = place[part] as Record<string, unknown>;
  }
  let parsed: unknown = value;
  try {
    parsed = JSON.parse(value);
  } catch {
    // Text as it is.
  }
  Object.defineProperty(place, last, { value: parsed, enumerable: true, configurable: true });
}
