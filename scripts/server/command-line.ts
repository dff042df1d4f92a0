/**
 * What may stand behind `npm start --` and `npm run dev --`: nothing but a wish for help.
 * Everything else is set by the environment, so a mistyped flag must not pass silently.
 */
import { done, EXIT_CODES, type Outcome, refuse } from "./exit-codes.ts";
import { SETTINGS } from "./settings.ts";

export type Command = "start" | "dev";

export const NPM_COMMANDS: Readonly<Record<Command, string>> = { start: "npm start", dev: "npm run dev" };

const DOES: Readonly<Record<Command, string>> = {
  start: "Builds the Worker and serves it on this machine under workerd, with its state on disk.",
  dev: "Serves the Worker with wrangler dev: slower than npm start, and new with every change of the source.",
};

export function readCommandLine(command: Command, words: readonly string[]): Outcome<"run" | "help"> {
  const unknown = words.find((word) => word !== "--help" && word !== "-h");
  if (unknown !== undefined) {
    return refuse(
      "badSettings",
      `${NPM_COMMANDS[command]} takes no argument ${JSON.stringify(unknown)}: it is set by the environment, see ${NPM_COMMANDS[command]} -- --help`,
    );
  }
  return done(words.length > 0 ? "help" : "run");
}

export function helpText(command: Command): string {
  const row = (name: string, fallback: string, meaning: string) =>
    `  ${name.padEnd(21)}${fallback.padEnd(13)}${meaning}`;
  return `${DOES[command]}

Environment, or lines in .dev.vars (the environment counts first):
${row("variable", "default", "meaning")}
${SETTINGS.map(({ name, fallback, meaning }) => row(name, fallback, meaning)).join("\n")}

Secrets that are missing are made at random on first use and kept in DATA_DIR/secrets.json.
Of the other variables, the Worker gets those in .dev.vars and those that
configs/distributed_config.json names as \${NAME}.

Prints "ready http://HOST:PORT" once it answers. SIGTERM, SIGINT or SIGHUP end it and all its children.

Exit codes:
  ${EXIT_CODES.ended}  ended by a signal
  ${EXIT_CODES.failed}  it could not be built or did not answer, or it ended by itself
  ${EXIT_CODES.badSettings}  a setting, an argument or a file of the configuration is wrong
  ${EXIT_CODES.inUse}  the port or the data folder is in use`;
}
