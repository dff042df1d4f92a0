/** The command that lists locks and breaks one. */
import { type Command, LIST_HELP, LIST_OPTIONS, listPage, string, text } from "./command.ts";
import { clock } from "./printer.ts";

export const lockCommands: readonly Command[] = [
  {
    name: "locks",
    usage: "[--group G] [--break RESOURCE]",
    summary: "List locks, or break one",
    help: `  --group G          Group of the locks (default "default")\n  --break RESOURCE   Release this lock although its holder has not\n${LIST_HELP}`,
    arity: [0, 0],
    options: { ...LIST_OPTIONS, group: string, break: string },
    async run({ coordinator, options, printer }) {
      const group = text(options.group) ?? "default";
      const resource = text(options.break);
      if (resource !== undefined) {
        const broken = await coordinator.locks.break(resource, group);
        printer.show(broken, () => printer.line(`lock ${resource} broken`));
        return;
      }
      const { items } = await listPage({ limit: options.limit }, (filter) =>
        coordinator.locks.list(group, filter),
      );
      printer.show(items, () =>
        printer.table(
          ["RESOURCE", "HOLDER", "TOKEN", "EXPIRES", "WAITERS"],
          items.map((lock) => [
            lock.resource,
            lock.holder,
            lock.fencing_token,
            clock(lock.expires_at),
            lock.waiters.join(","),
          ]),
        ),
      );
    },
  },
];
