/** What people and programs read: aligned tables and lines, coloured on a terminal alone, or JSON. */

type Cell = string | number | boolean | null | undefined;

/** Statuses and severities that people look for. */
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

/** Text of others must not move the cursor or change the colours of a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

export class Printer {
  readonly isJson: boolean;
  readonly #isColoured = process.stdout.isTTY === true && !process.env.NO_COLOR;

  constructor(isJson: boolean) {
    this.isJson = isJson;
  }

  /**
   * For programs what was answered, or a part of it; for people what they want to know of it.
   * @throws {TypeError} no coordinator answers so
   */
  show(answered: unknown, forPeople: () => void, part = answered): void {
    if (Object(answered) !== answered) throw new TypeError(`it answered ${JSON.stringify(answered)}`);
    if (this.isJson) process.stdout.write(`${JSON.stringify(part)}\n`);
    else forPeople();
  }

  line(...cells: Cell[]): void {
    process.stdout.write(`${cells.map((cell) => this.#paint(shown(cell))).join(" ")}\n`);
  }

  /** Beside what was answered, whatever form that has. */
  warn(text: string): void {
    process.stderr.write(`${shown(text)}\n`);
  }

  /** Columns as wide as they must be; the last one as it is. */
  table(head: string[], rows: Cell[][]): void {
    if (rows.length === 0) {
      this.line("none");
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

/** `2026-11-22T19:15:00.000Z` as people here read it. */
export const clock = (instant: string | null): string =>
  instant === null ? "-" : instant.slice(0, 19).replace("T", " ");
