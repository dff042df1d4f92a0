/**
 * The outcome of a step of `npm start` or `npm run dev`: a value, or lines for stderr and an exit code. An expected
 * failure is a value; a throw means a bug.
 */

export const EXIT_CODES = {
  ended: 0,
  failed: 1,
  badSettings: 2,
  inUse: 3,
  newerData: 5,
} as const;

export type ExitCode = (typeof EXIT_CODES)[keyof typeof EXIT_CODES];

export type Refusal = { ok: false; exitCode: ExitCode; lines: readonly string[] };
export type Outcome<T> = { ok: true; value: T } | Refusal;

export const done = <T>(value: T): { ok: true; value: T } => ({ ok: true, value });

export const refuse = (reason: keyof typeof EXIT_CODES, ...lines: readonly string[]): Refusal => ({
  ok: false,
  exitCode: EXIT_CODES[reason],
  lines,
});

/** The code of an error of the operating system, such as `ENOENT`; null for any other error. */
export function systemCode(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}
