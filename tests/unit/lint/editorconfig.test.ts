/** Editors and the formatter agree. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const read = (name: string) => readFileSync(join(import.meta.dirname, "../../..", name), "utf8");

it(".editorconfig has the settings of the formatter for all files", () => {
  const { formatter } = JSON.parse(read("biome.json")) as {
    formatter: { indentStyle: string; indentWidth: number; lineWidth: number };
  };
  const [, forAll = ""] = read(".editorconfig").split(/^\[.*\]$/m);
  const settings = Object.fromEntries(
    [...forAll.matchAll(/^(\w+) = (\w+)$/gm)].map(([, key, value]) => [key, value]),
  );
  expect(settings).toMatchObject({
    indent_style: formatter.indentStyle,
    indent_size: String(formatter.indentWidth),
    max_line_length: String(formatter.lineWidth),
    end_of_line: "lf",
  });
});
