/** The exit codes of the command, each with its meaning. The help prints them from here. */

const MEANINGS = {
  done: "success",
  failed: "server unreachable or server error",
  usage: "usage error",
  refused: "refused or not found",
  forbidden: "not permitted",
  failedTask: "the task failed or was cancelled",
  unfinished: "the task has not ended yet",
  problem: "the check found a problem: readiness, simulate, notifications test or redeliver",
  off: "notifications test: notifications are off, or no channel is configured",
};

type Outcome = keyof typeof MEANINGS;

export const CODES = Object.fromEntries(Object.keys(MEANINGS).map((name, code) => [name, code])) as Record<
  Outcome,
  number
>;

/** One line for each code. */
export const EXIT_CODES_HELP = Object.values(MEANINGS)
  .map((meaning, code) => `  ${code}  ${meaning}\n`)
  .join("");
