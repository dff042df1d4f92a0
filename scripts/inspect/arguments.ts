/** The arguments of `npm run inspect`. */
import { parseArgs } from "node:util";
import { done, type Outcome, refuse } from "../server/outcome.ts";

export type InspectArguments = {
  dataDir: string;
  asJson: boolean;
  /** The table to print; null for a report. */
  table: string | null;
  /** Names of clusters to try. */
  clusters: string[];
};

export const HELP = `Prints the state of a data folder of npm start. Reads only; the server may be running.

Usage: npm run inspect -- [options] [DIR]

  DIR             the data folder; default: DATA_DIR, or .data
  --json          print JSON instead of text; instants are milliseconds since the epoch
  --table NAME    print the rows of this table of every object, a JSON object a line (see docs/storage-schema.md)
  --cluster NAME  a name to try for clusters whose name is not found in the data; may be repeated
  --help          print this text

Rows hold the data of tasks. Those of meta and outbox may hold secrets of the configuration.

Exit codes:
  0  done
  1  some object could not be read; the rest is printed
  2  an argument is not valid, or the folder is not a data folder of npm start, or is empty`;

export function readArguments(
  words: readonly string[],
  environment: { readonly DATA_DIR?: string | undefined },
): Outcome<InspectArguments | "help"> {
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        table: { type: "string" },
        cluster: { type: "string", multiple: true, default: [] },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) return done("help");
    const [dir, ...others] = positionals;
    if (others.length > 0) return refuse("badSettings", "inspect reads one folder at a time; see --help");
    return done({
      dataDir: dir ?? (environment.DATA_DIR || ".data"),
      asJson: values.json,
      table: values.table ?? null,
      clusters: values.cluster,
    });
  } catch (error) {
    const problem = error instanceof Error ? (error.message.split("\n")[0] ?? "") : "";
    return refuse("badSettings", `${problem}; see --help`);
  }
}
