/** The arguments of `npm start --` and `npm run dev --`. Only help is one; settings are environment variables. */
import { done, EXIT_CODES, type Outcome, refuse } from "./outcome.ts";
import { SETTINGS } from "./settings.ts";

export type Command = "start" | "dev";

export const NPM_COMMANDS: Readonly<Record<Command, string>> = { start: "npm start", dev: "npm run dev" };

const DOES: Readonly<Record<Command, string>> = {
  start: "Builds the Worker and serves it on this machine under workerd, with its state on disk.",
  dev: "Serves the Worker with wrangler dev, which rebuilds it after each change of the source. Slower than npm start.",
};

export function readCommandLine(command: Command, words: readonly string[]): Outcome<"run" | "help"> {
  const unknown = words.find((word) => word !== "--help" && word !== "-h");
  if (unknown !== undefined) {
    return refuse(
      "badSettings",
      `${NPM_COMMANDS[command]} has no argument ${JSON.stringify(unknown)}; use environment variables, see ${NPM_COMMANDS[command]} -- --help`,
    );
  }
  return done(words.length > 0 ? "help" : "run");
}

export function helpText(command: Command): string {
  const row = (name: string, fallback: string, meaning: string) =>
    `  ${name.padEnd(21)}${fallback.padEnd(13)}${meaning}`;
  return `${DOES[command]}

Set these as environment variables or in .dev.vars. The environment has priority.
${row("variable", "default", "meaning")}
${SETTINGS.map(({ name, fallback, meaning }) => row(name, fallback, meaning)).join("\n")}

Missing secrets are generated at the first start and stored in DATA_DIR/secrets.json.
The Worker also gets all variables in .dev.vars and those that
configs/distributed_config.json names as \${NAME}.

Prints "ready http://HOST:PORT" when the server answers. SIGTERM, SIGINT or SIGHUP ends the
server and all its child processes.

Exit codes:
  ${EXIT_CODES.ended}  ended by a signal
  ${EXIT_CODES.failed}  the Worker could not be built, or the server did not answer or ended by itself
  ${EXIT_CODES.badSettings}  a setting, an argument or the configuration file is not valid
  ${EXIT_CODES.inUse}  the port or the data folder is in use
  ${EXIT_CODES.newerData}  a newer version of the program wrote the data folder`;
}
