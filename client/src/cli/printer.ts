/** Output of the commands: aligned tables and lines, coloured only on a terminal, or JSON. */

type Cell = string | number | boolean | null | undefined;

/** `1 task`, `2 tasks`. */
export const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** ANSI colours of statuses and severities. */
const COLOURS: Record<string, number> = {
  active: 32,
  completed: 32,
  delivered: 32,
  running: 36,
  suspect: 33,
  draining: 33,
  pending: 33,
  warning: 33,
  inactive: 31,
  failed: 31,
  error: 31,
  critical: 31,
  dead: 31,
};

/** Text from agents must not move the cursor or change the colours of a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

export class Printer {
  readonly isJson: boolean;
  readonly #isColoured = process.stdout.isTTY === true && !process.env.NO_COLOR;

  constructor(isJson: boolean) {
    this.isJson = isJson;
  }

  /**
   * Prints the response, or a part of it, as JSON; without --json runs `printText`.
   * @throws {TypeError} the response is not an object, so no coordinator sent it
   */
  show(response: unknown, printText: () => void, part = response): void {
    if (Object(response) !== response) throw new TypeError(`the response is ${JSON.stringify(response)}`);
    if (this.isJson) process.stdout.write(`${JSON.stringify(part)}\n`);
    else printText();
  }

  /** Cells without a value are left out. */
  line(...cells: Cell[]): void {
    const words = cells.filter((cell) => cell !== null && cell !== "" && cell !== undefined);
    process.stdout.write(`${words.map((cell) => this.#paint(shown(cell))).join(" ")}\n`);
  }

  /** To stderr, so that JSON on stdout stays valid. */
  warn(text: string): void {
    process.stderr.write(`${shown(text)}\n`);
  }

  /** Columns are as wide as their widest cell; the last column is not padded. */
  table(head: string[], rows: Cell[][]): void {
    if (rows.length === 0) {
      this.line("nothing found");
      return;
    }
    const cells = rows.map((row) => row.map(shown));
    const widths = head.map((title, at) =>
      Math.max(title.length, ...cells.map((row) => row[at]?.length ?? 0)),
    );
    const written = (row: string[], paint: (text: string) => string) =>
      row
        .map((cell, at) => paint(cell) + " ".repeat((widths[at] ?? 0) - cell.length))
        .join("  ")
        .trimEnd();
    const lines = [
      written(head, (title) => this.#colour(title, 1)),
      ...cells.map((row) => written(row, (cell) => this.#paint(cell))),
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
  }

  #paint(cell: string): string {
    const colour = COLOURS[cell];
    return colour === undefined ? cell : this.#colour(cell, colour);
  }

  #colour(text: string, code: number): string {
    return this.#isColoured ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

function shown(cell: Cell): string {
  return cell === null || cell === undefined || cell === "" ? "-" : String(cell).replace(CONTROLS, "?");
}
