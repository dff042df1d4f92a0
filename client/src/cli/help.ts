/** The help texts, from what the commands say of themselves. */
import type { Command } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { EXIT_CODES_HELP } from "./exit-codes.ts";

export const CALL = "failover-coordinator";

const GENERAL_HELP = `Options of every command:
  --url URL            Address of the coordinator (env FAILOVER_URL or URL, default http://127.0.0.1:8787)
  --token-file FILE    File with the access token (env FAILOVER_TOKEN or ADMIN_TOKEN: the token itself)
  --token TOKEN        Deprecated: other users of the machine can read the arguments of a program
  --cluster CLUSTER    Cluster to use (env FAILOVER_CLUSTER, default "default")
  --json               Print the coordinator's response as JSON
  --help               Show this help
`;

const COLUMN = 20;

export function usageOf({ name, args = "" }: Command): string {
  return `Usage: ${[CALL, name, args].filter((word) => word !== "").join(" ")} [OPTIONS]`;
}

/** What follows an error in the arguments. */
export const seeHelp = (command: Command) => [usageOf(command), `Help: ${CALL} ${command.name} --help`];

export function helpOf(command: Command): string {
  const { name, summary, details = "", options = {}, examples } = command;
  const rows = Object.entries(options).map(([option, { value = "", help }]) => {
    const shown = `--${option} ${value}`.trim();
    // A long name stands on a line of its own.
    const gap = shown.length > COLUMN ? `\n${" ".repeat(COLUMN + 3)}` : " ".repeat(COLUMN + 1 - shown.length);
    return `  ${shown}${gap}${help}\n`;
  });
  return [
    `${usageOf(command)}\n\n${summary}\n${details}`,
    ...(rows.length === 0 ? [] : [`Options:\n${rows.join("")}`]),
    `Examples:\n${examples.map((example) => `  ${`${CALL} ${name} ${example}`.trim()}\n`).join("")}`,
    ...membersOf(name).map((member) => `${usageOf(member)}\n  ${member.summary}\n`),
    `${GENERAL_HELP}\nExit codes: ${CALL} --help\n`,
  ].join("\n");
}

/** Commands whose name begins with this word and has another one. */
export const membersOf = (word: string) => COMMANDS.filter(({ name }) => name.startsWith(`${word} `));

export function overview(commands: readonly Command[] = COMMANDS): string {
  const rows = commands.map(({ name, args = "", summary }) => `  ${`${name} ${args}`.padEnd(32)} ${summary}`);
  return `Usage: ${CALL} COMMAND [OPTIONS]\n\nCommands:\n${rows.join("\n")}\n\nHelp of a command, with examples: ${CALL} COMMAND --help\n\n${GENERAL_HELP}\nExit codes:\n${EXIT_CODES_HELP}`;
}
