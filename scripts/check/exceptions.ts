/** Where the words that `habits.ts` refuses are allowed, and why. The check fails on an entry that no file needs. */

export type Exception = {
  readonly path: string;
  /** As the check prints them; without this list, every habit is allowed in the file. */
  readonly words?: readonly string[];
  readonly reason: string;
};

export const EXCEPTIONS: readonly Exception[] = [
  {
    path: "CONTRIBUTING.md",
    words: [
      ...[
        "stands in a",
        "Whoever",
        "hands it on",
        "nobody overtakes",
        "whatever",
        "Its incarnation over",
        "It",
      ],
      ...["The dying", "over there", "wrong words", "it goes on", "answers so"],
      ...["Ledger", "Desk", "Roster", "Doorbells"],
    ],
    reason: 'Examples of what not to write, in "Ways of writing".',
  },
  { path: "scripts/check/exceptions.ts", reason: "Names the words that are allowed." },
  { path: "scripts/check/habits.ts", reason: "The list of these words." },
  { path: "tests/unit/scripts/check/habits.test.ts", reason: "Shows that each of these words is found." },
  { path: "tests/unit/scripts/check/words.test.ts", reason: "Shows that a finding is reported or excepted." },
];
