/** Commands for the delivery log: list, test, redeliver. */
import type { Notification } from "../../index.ts";
import {
  type Command,
  CommandFailure,
  flag,
  type Invocation,
  LIMIT,
  listPage,
  problem,
  text,
  UsageError,
  valued,
} from "../command.ts";
import { CODES } from "../exit-codes.ts";
import { clock } from "../time.ts";

export const notificationCommands: readonly Command[] = [
  {
    name: "notifications",
    summary: "List notifications, with the reason of each failed delivery",
    options: {
      state: valued("S", "pending, delivered, dead or superseded"),
      channel: valued("C", "log, email, webhook or system"),
      failure: valued("ID", "Only notifications about this failure"),
      ...LIMIT,
    },
    examples: ["--channel webhook", "--state dead"],
    async run(call) {
      const { state, channel, failure } = call.options;
      const filter = { state, channel, failure_id: failure } as object;
      const { items } = await listPage(call, (page) =>
        call.coordinator.notifications.list({ ...filter, ...page }),
      );
      call.printer.show(items, () =>
        call.printer.table(
          ["ID", "AT", "CHANNEL", "STATE", "TRIES", "SEVERITY", "SUBJECT", "REASON"],
          items.map((sent) => [
            sent.id,
            clock(sent.at),
            sent.channel,
            sent.state,
            sent.try_count,
            sent.severity,
            sent.subject,
            reason(sent),
          ]),
        ),
      );
      const silence =
        items.length === 0 && !call.printer.isJson ? await whySilent(call, text(channel)) : null;
      if (silence !== null) call.printer.line(silence);
    },
  },
  {
    name: "notifications test",
    summary: "Send a test through every channel",
    details:
      "Exits with 7 if a channel did not deliver it, and with 8 if notifications are off or no channel is configured.\n",
    examples: [""],
    async run(call) {
      const { printer } = call;
      const results = await call.coordinator.notifications.test();
      printer.show(results, () =>
        printer.table(
          ["CHANNEL", "DELIVERED", "SECONDS", "REASON"],
          results.map((result) => [
            result.channel,
            result.delivered ? "yes" : "no",
            result.duration_seconds,
            result.error,
          ]),
        ),
      );
      const failed = results.filter(({ delivered }) => !delivered).map(({ channel }) => channel);
      if (failed.length > 0) throw problem(`not delivered by ${failed.join(", ")}`);
      const silence = await whySilent(call, undefined);
      if (silence !== null) throw new CommandFailure(silence, CODES.off);
    },
  },
  {
    name: "notifications redeliver",
    args: "[ID...]",
    summary: "Send notifications again, one after the other",
    details: "Exits with 7 if one of them was not delivered.\n",
    options: {
      all: flag("All notifications in the state dead"),
      channel: valued("C", "With --all: only those of this channel"),
    },
    examples: ["ID", "--all --channel webhook"],
    async run({ coordinator, words, options, printer }) {
      const isAll = options.all === true;
      if (isAll === words.length > 0) {
        throw new UsageError(isAll ? "use ID or --all, not both" : "name an ID, or use --all");
      }
      const ids = [...words];
      if (isAll) {
        // The list is read to its end first: a notification that fails again is dead again.
        const dead = { state: "dead", ...({ channel: options.channel } as object), limit: 500 } as const;
        for await (const { id } of coordinator.notifications.list(dead)) ids.push(id);
        if (ids.length === 0 && !printer.isJson) printer.line("no dead notifications found");
      }
      let failed = 0;
      for (const id of ids) {
        const sent = await coordinator.notifications.redeliver(id);
        printer.show(sent, () => printer.line(sent.id, sent.channel, sent.state, reason(sent)));
        if (sent.state !== "delivered") failed += 1;
      }
      if (failed > 0) throw problem(`${failed} of ${ids.length} not delivered`);
    },
  },
];

/** Why deliveries failed, and what comes next; empty if none failed. */
function reason({ tries, state, next_try_at, last_error }: Notification): string {
  const errors = [...new Set(tries.map(({ error }) => error ?? ""))].filter((error) => error !== "");
  if (errors.length === 0) return last_error ?? "";
  const next = next_try_at === null ? "" : `; next try at ${clock(next_try_at)}`;
  return `${state === "delivered" ? "first: " : ""}${errors.join("; then: ")}${next}`;
}

/** What in the configuration keeps messages from being sent on a channel, or on any; null if nothing does. */
async function whySilent({ coordinator }: Invocation, channel: string | undefined): Promise<string | null> {
  const { failure_notification: settings } = (await coordinator.config.get()).config;
  const { enabled, notification_types, min_severity, channel_min_severity } = settings;
  if (!enabled) return "notifications are off: failure_notification.enabled is false";
  if (notification_types.length === 0)
    return "no channel is configured in failure_notification.notification_types";
  if (channel === undefined) return null;
  const known = notification_types.find((type) => type === channel);
  if (known === undefined)
    return `${channel} is not in failure_notification.notification_types (${notification_types.join(", ")})`;
  const own = channel_min_severity[known];
  const limits = [
    `min_severity is ${min_severity}`,
    ...(own ? [`channel_min_severity.${channel} is ${own}`] : []),
  ];
  return `less severe failures are not sent: failure_notification.${limits.join(", ")}`;
}
