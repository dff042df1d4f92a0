/**
 * The type declarations of the client as one file: the output of the compiler for each module, with the shapes of the
 * wire written out, and without declarations that no public one uses.
 */
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { wireTypes } from "./wire-types.ts";

const ROOT = join(import.meta.dirname, "..", "..");

const COMPILER_WORDS = [
  "--ignoreConfig",
  ...["--declaration", "--emitDeclarationOnly", "--strict", "--allowImportingTsExtensions", "--skipLibCheck"],
  ...["--target", "es2024", "--module", "esnext", "--moduleResolution", "bundler"],
  ...["--lib", "es2024,dom,dom.iterable", "--types", "node", "--rootDir", ROOT],
];

/** A declaration: its name, its comment, and its text without `export` and `declare`. */
type Declared = { name: string; comment: string; text: string };

/** Constructors of classes that only the client creates. */
const INTERNAL_CONSTRUCTOR = /^ {4}constructor\(http: Http\);$/gm;

/** From the tag to the end of the comment. Examples would be a sixth of the file, so only the source has them. */
const EXAMPLE = /\s*\* @example\n(?:(?!\*\/)[\s\S])*\*\//g;
/** The break before a line of prose in a comment: editors wrap the text by themselves. A tag keeps its line. */
const PROSE_BREAK = /\n\s*\* (?!@)/g;
/** A comment of which one line is left. */
const ONE_LINE = /(\/\*\* [^\n]*?)\s*\n\s*\*\//g;

export function declarations(): string {
  const dir = mkdtempSync(join(tmpdir(), "failover-declarations-"));
  try {
    const entry = join(ROOT, "client", "src", "index.ts");
    const { status, stdout } = spawnSync(
      join(ROOT, "node_modules", ".bin", "tsc"),
      [...COMPILER_WORDS, "--outDir", dir, entry],
      { encoding: "utf8" },
    );
    if (status !== 0) throw new Error(`the client does not compile:\n${stdout}`);
    return assembled(join(dir, "client", "src"));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function assembled(dir: string): string {
  const known = new Map<string, Declared>();
  for (const [name, text] of wireTypes()) known.set(name, { name, comment: "", text });
  const publicNames = new Set<string>();
  for (const file of globSync("**/*.d.ts", { cwd: dir }).sort()) {
    const text = readFileSync(join(dir, file), "utf8")
      .replace(INTERNAL_CONSTRUCTOR, "    private constructor();")
      .replace(EXAMPLE, " */")
      .replace(PROSE_BREAK, " ")
      .replace(ONE_LINE, "$1 */");
    if (file === "index.d.ts") {
      for (const name of exportedNames(text, dir)) publicNames.add(name);
    } else if (file !== "wire.d.ts") {
      for (const declared of declaredIn(text)) known.set(declared.name, declared);
    }
  }
  const needed = reachable(publicNames, known);
  const written = [...known.values()].filter(({ name }) => needed.has(name));
  const parts = written.map(({ name, comment, text }) => {
    const keyword = text.startsWith("type ") ? "" : "declare ";
    return `${comment}${publicNames.has(name) ? "export " : ""}${keyword}${text}`;
  });
  // Without this all would be exported.
  return `${parts.join("\n")}\nexport {};\n`.replace(/^( {4})+/gm, (indent) =>
    "\t".repeat(indent.length / 4),
  );
}

function exportedNames(index: string, dir: string): string[] {
  const lists = [...index.matchAll(/\{([^}]*)\}/g)].flatMap(([, list = ""]) => list.split(","));
  const named = lists.map((one) => one.replace(/^\s*type /, "").trim()).filter((name) => name !== "");
  const whole = [...index.matchAll(/^export \* from "\.\/(.*)\.ts";$/gm)].flatMap(([, module]) =>
    [...readFileSync(join(dir, `${module}.d.ts`), "utf8").matchAll(/^export declare class (\w+)/gm)].map(
      ([, name = ""]) => name,
    ),
  );
  return [...named, ...whole];
}

/** The declarations of a module: each starts at the left edge, perhaps with a comment before it. */
function declaredIn(module: string): Declared[] {
  const pieces = module.split(/^(?=export |declare |type |import |\/\*\*)/m);
  const found: Declared[] = [];
  let comment = "";
  for (const piece of pieces) {
    const [, text, name] =
      /^(?:export )?(?:declare )?((?:class|function|const|type) (\w+)[\s\S]*)$/.exec(piece.trim()) ?? [];
    if (text === undefined || name === undefined) {
      comment = piece.startsWith("/**") ? piece : "";
      continue;
    }
    const overloaded = found.find((one) => one.name === name);
    if (overloaded === undefined) found.push({ name, comment, text });
    else overloaded.text += `\n${text}`;
    comment = "";
  }
  return found;
}

function reachable(names: Iterable<string>, known: ReadonlyMap<string, Declared>): Set<string> {
  const found = new Set<string>();
  const look = (name: string): void => {
    const declared = known.get(name);
    if (declared === undefined || found.has(name)) return;
    found.add(name);
    const code = declared.text.replace(/\/\*\*[\s\S]*?\*\//g, "");
    for (const [word] of code.matchAll(/\b[A-Z]\w*\b/g)) look(word);
  };
  for (const name of names) {
    if (!known.has(name)) throw new Error(`${name} is exported and not declared`);
    look(name);
  }
  return found;
}
