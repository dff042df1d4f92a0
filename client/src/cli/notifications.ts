/** The command for the delivery log: list, test, redeliver. */
import { type Command, LIST_HELP, LIST_OPTIONS, listPage, string, UsageError } from "./command.ts";
import { clock } from "./printer.ts";

export const notificationCommands: readonly Command[] = [
  {
    name: "notifications",
    usage: "[test | redeliver ID]",
    summary: "List notifications, send a test, redeliver one",
    help: `  --state S          pending, delivered, dead or superseded\n${LIST_HELP}`,
    arity: [0, 2],
    options: { ...LIST_OPTIONS, state: string },
    async run({ coordinator, words: [verb, id], options, printer }) {
      if (verb === "test" && id === undefined) {
        const results = await coordinator.notifications.test();
        printer.show(results, () =>
          printer.table(
            ["CHANNEL", "DELIVERED", "SECONDS", "ERROR"],
            results.map((result) => [
              result.channel,
              result.delivered,
              result.duration_seconds,
              result.error,
            ]),
          ),
        );
        return;
      }
      if (verb === "redeliver" && id !== undefined) {
        const sent = await coordinator.notifications.redeliver(id);
        printer.show(sent, () => printer.line(sent.id, sent.state, sent.last_error ?? ""));
        return;
      }
      if (verb !== undefined)
        throw new UsageError("usage: notifications, notifications test, or notifications redeliver ID");
      const { items } = await listPage(options, (filter) => coordinator.notifications.list(filter));
      printer.show(items, () =>
        printer.table(
          ["ID", "AT", "CHANNEL", "STATE", "SEVERITY", "SUBJECT"],
          items.map((sent) => [
            sent.id,
            clock(sent.at),
            sent.channel,
            sent.state,
            sent.severity,
            sent.subject,
          ]),
        ),
      );
    },
  },
];
