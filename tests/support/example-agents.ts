/** The agents of examples/ that are not in TypeScript, and the programs that each needs on this machine. */
import { execFileSync } from "node:child_process";

export type Language = {
  readonly file: string;
  readonly interpreter: string;
  /** Each command fails where its program is missing or too old. */
  readonly probes: readonly (readonly [string, ...string[]])[];
};

export const PYTHON: Language = {
  file: "python_agent.py",
  interpreter: "python3",
  probes: [["python3", "-c", "import sys; sys.exit(sys.version_info < (3, 9))"]],
};

export const BASH: Language = {
  file: "agent.sh",
  interpreter: "bash",
  probes: [
    ["bash", "-c", "((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404))"],
    ["curl", "--version"],
  ],
};

export const LANGUAGES: readonly Language[] = [PYTHON, BASH];

/** Programs that an agent needs and this machine does not have. */
export const missingFor = ({ probes }: Language): string[] =>
  probes.flatMap(([program, ...words]) => {
    try {
      execFileSync(program, words, { stdio: "ignore" });
      return [];
    } catch {
      return [program];
    }
  });
