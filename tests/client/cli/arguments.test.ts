/** Finding a command and checking its arguments. */
import { describe, expect, it } from "vitest";
import { checkCount, findCommand, parseWords } from "../../../client/src/cli/arguments.ts";
import { UsageError } from "../../../client/src/cli/command.ts";
import { COMMANDS } from "../../../client/src/cli/commands.ts";
import { helpOf, overview } from "../../../client/src/cli/help.ts";

/** The lines that a wrong call prints. */
function told(...words: string[]): string[] {
  try {
    const { command, rest } = findCommand(words);
    checkCount(command, parseWords(command, rest).positionals);
  } catch (error) {
    if (error instanceof UsageError) return [error.message, ...error.more];
    throw error;
  }
  throw new Error(`${words.join(" ")} is a valid call`);
}

describe("arguments", () => {
  it("name what is missing, then how to call the command", () => {
    expect(told("submit")).toEqual([
      "TYPE is missing",
      "Usage: failover-coordinator submit TYPE [OPTIONS]",
      "Help: failover-coordinator submit --help",
    ]);
    expect(told("accept")[0]).toBe("TASK and ATTEMPT are missing");
    expect(told("accept", "task1")[0]).toBe("ATTEMPT is missing");
    expect(told("cancel")[0]).toBe("TASK is missing");
    expect(told("config", "set")[0]).toBe("KEY=VALUE is missing");
  });

  it("name what is too much", () => {
    expect(told("explain", "task1", "task2", "task3")[0]).toBe("too many arguments: task2 task3");
    expect(told("status", "now")[0]).toBe("too many arguments: now");
    expect(told("notifications", "tset")[0]).toBe("too many arguments: tset");
  });

  it("say which commands begin with a word", () => {
    expect(told("config")).toEqual([expect.stringMatching(/^choose one of: config get, config set/)]);
    expect(told("config", "nonsense")[0]).toMatch(/^choose one of: /);
  });

  it("say that options follow the name of the command", () => {
    expect(told("--url", "http://localhost", "status")[0]).toMatch(
      /^options follow the name of a command, such as: status --url\. Run .* --help for the list\.$/,
    );
  });
});

describe.each(COMMANDS)("the help of $name", (command) => {
  it("has one or two examples, each of them a valid call", () => {
    expect(command.examples.length).toBeGreaterThan(0);
    expect(command.examples.length).toBeLessThan(3);
    for (const example of command.examples) {
      const words = [...example.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? "");
      const found = findCommand([...command.name.split(" "), ...words]);
      expect(found.command).toBe(command);
      checkCount(command, parseWords(command, found.rest).positionals);
    }
  });

  it("names its options, has no line that is too long, and is listed", () => {
    const help = helpOf(command);
    for (const [option, { help: meaning }] of Object.entries(command.options ?? {})) {
      expect(help).toMatch(new RegExp(`^  --${option}\\b`, "m"));
      expect(help).toContain(meaning);
    }
    for (const line of help.split("\n")) expect(line.length, line).toBeLessThan(121);
    expect(overview()).toMatch(new RegExp(`^  ${command.name} `, "m"));
  });
});
