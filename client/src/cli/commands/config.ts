/** Commands that read and change the configuration, key by key. */
import type { ConfigChange } from "../../index.ts";
import { type Command, keyValue, LIMIT, listPage, UsageError } from "../command.ts";
import { clock } from "../time.ts";

export const configCommands: readonly Command[] = [
  {
    name: "config get",
    args: "[KEY]",
    summary: "Show the configuration, or one key",
    examples: ["", "failover_config.enabled"],
    async run({ coordinator, words: [key], printer }) {
      const { config } = await coordinator.config.get();
      // The client copies the members of the answer, so an answer without any shows here.
      if (config.failover_config === undefined) throw new TypeError("the response is no configuration");
      const value = key === undefined ? config : valueAt(config, key);
      const show = () => {
        const shown = typeof value === "string" ? value : JSON.stringify(value, null, 2);
        for (const line of shown.split("\n")) printer.line(line);
      };
      printer.show(config, show, value);
    },
  },
  {
    name: "config set",
    args: "KEY=VALUE...",
    summary: "Change the configuration",
    details: "VALUE is JSON or text; null resets the key to the configuration file.\n",
    examples: ["failover_config.max_reassignment_attempts=5", "failover_config.enabled=null"],
    async run({ coordinator, words, printer }) {
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
  {
    name: "config changes",
    summary: "Show what changed in the configuration, and when",
    options: LIMIT,
    examples: ["", "--limit 5"],
    async run(call) {
      const { items } = await listPage(call, (page) => call.coordinator.config.changes(page));
      call.printer.show(items, () =>
        call.printer.table(
          ["AT", "VERSION", "BY", "KEY", "FROM", "TO"],
          items.flatMap(({ at, version, source, changes }) =>
            changes.map(({ key, from, to }) => [
              clock(at),
              version,
              source,
              key,
              JSON.stringify(from),
              JSON.stringify(to),
            ]),
          ),
        ),
      );
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
