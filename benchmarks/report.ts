/** The figures as a table for people, and as JSON for programs. */
import { type Benchmark, type Figure, isMet, type Spread } from "./benchmark.ts";

export type Result = { readonly benchmark: Benchmark; readonly figures: readonly Figure[] };

const HEADS = ["figure", "value", "baseline in the same run", "ratio", "bound"];
const COLUMN_GAP = "   ";

export function table({ benchmark, figures }: Result): string {
  const rows = [HEADS, ...figures.map(cells)];
  const widths = HEADS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join(COLUMN_GAP)
      .trimEnd(),
  );
  const [heads = "", ...rest] = lines;
  return [`${benchmark.name}: ${benchmark.summary}`, heads, "-".repeat(heads.length), ...rest].join("\n");
}

function cells(figure: Figure): string[] {
  const { what, unit, value, baseline, ratio } = figure;
  return [
    what,
    `${shown(value)} ${unit}`,
    `${shown(baseline)} ${unit}, ${baseline.what}`,
    shown(ratio),
    boundWords(figure),
  ];
}

function boundWords(figure: Figure): string {
  const { bound, unit } = figure;
  if (bound === null) return "none";
  const limit = bound.on === "value" ? `${short(bound.atMost)} ${unit}` : `ratio ${short(bound.atMost)}`;
  return `${isMet(figure) ? "pass" : "FAIL"}: at most ${limit}`;
}

function shown({ median, min, max }: Spread): string {
  return `${short(median)} (${short(min)}–${short(max)})`;
}

/** Three significant digits: the others are noise. */
function short(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

export function json(results: readonly Result[]): string {
  return JSON.stringify(
    {
      passed: results.every(({ figures }) => figures.every(isMet)),
      benchmarks: results.map(({ benchmark, figures }) => ({
        name: benchmark.name,
        figures: figures.map((figure) => ({
          ...figure,
          bound: figure.bound && {
            on: figure.bound.on,
            at_most: figure.bound.atMost,
            passed: isMet(figure),
          },
        })),
      })),
    },
    null,
    2,
  );
}
