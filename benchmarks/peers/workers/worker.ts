/** Shared by the workers: lines on stdout for the runner, and a handler that returns on a line from the runner. */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { FINISH, OUTCOME, READY, STARTED } from "../system.ts";

const commands = createInterface(process.stdin);

const say = (line: string) => void process.stdout.write(`${line}\n`);

export const sayReady = () => say(READY);

export const sayOutcome = (text: string) => say(OUTCOME + text.replaceAll("\n", " "));

/** The task itself, which lasts until the runner ends it. */
export async function work<Value>(result: Value): Promise<Value> {
  say(STARTED);
  for (;;) {
    const [line] = await once(commands, "line");
    if (line === FINISH) return result;
  }
}

/** The arguments of the command line, all of which are required. */
export function argument(index: number): string {
  const word = process.argv[2 + index];
  if (word === undefined) throw new Error(`argument ${index + 1} is missing`);
  return word;
}
