/** The command that follows the event stream. */
import { type Command, number, valued } from "../command.ts";
import { sentenceOf } from "../event-sentence.ts";
import { clock } from "../time.ts";

export const watchCommands: readonly Command[] = [
  {
    name: "watch",
    summary: "Follow what happens, in sentences; --json for the events themselves",
    options: { after: valued("ID", "Start after this event; 0: all stored") },
    examples: ["", "--after 0 --json"],
    async run({ coordinator, options, printer }) {
      // The stream reconnects silently, so an unreachable server is reported here.
      coordinator.getClusterStatus({ timeoutSeconds: 5 }).catch((error: Error & { status?: number }) => {
        if ((error.status ?? 500) >= 500)
          printer.warn(`${error.message}; retrying until the server responds`);
      });
      for await (const event of coordinator.events({ after: number(options.after, "--after") }))
        printer.show(event, () => printer.line(clock(event.at), sentenceOf(event)));
    },
  },
];
