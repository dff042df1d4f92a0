/**
 * Parses the configuration file: JSON with comments and trailing commas. Each error has its line, a duplicate key is
 * an error, and no error repeats a value of the file.
 */
import {
  createScanner,
  findNodeAtLocation,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from "jsonc-parser";
import { Config } from "../../contract/config.ts";
import type { FieldError } from "../../contract/problem.ts";
import { shownKey } from "../nearest-key.ts";
import {
  fieldErrors,
  type IssuePath,
  MAX_ERRORS,
  type SchemaIssue,
  unknownKeyIssue,
} from "../schema-issues.ts";
import { type ConfigResult, checkConfig, resultOf } from "./config-check.ts";
import { type Json, objectFrom } from "./merge-patch.ts";

/** Many times the size of the largest valid configuration with comments. */
const MAX_FILE_CHARACTERS = 1_048_576;
/** A configuration has five levels. The parser recurses, and much deeper text would exhaust its stack. */
const MAX_DEPTH = 32;
/** One mistake causes several syntax errors, and the first lines are enough to find it. */
const MAX_SYNTAX_ERRORS = 5;

const SYNTAX_ERRORS: Readonly<Record<string, string>> = {
  InvalidSymbol: "must be text in double quotes, a number, true, false or null",
  InvalidNumberFormat: "not a number",
  PropertyNameExpected: "a key in double quotes is expected",
  ValueExpected: "a value is expected",
  ColonExpected: "a colon is expected",
  CommaExpected: "a comma is expected",
  CloseBraceExpected: "a closing brace } is expected",
  CloseBracketExpected: "a closing bracket ] is expected",
  EndOfFileExpected: "the end of the file is expected",
  InvalidCommentToken: "a comment is not allowed here",
  UnexpectedEndOfComment: "this comment does not end",
  UnexpectedEndOfString: "this text does not end on its line",
  UnexpectedEndOfNumber: "this number does not end",
  InvalidUnicode: "\\u must be followed by four hexadecimal digits",
  InvalidEscapeCharacter: 'a backslash must be followed by one of " \\ / b f n r t u',
  InvalidCharacter: "a control character in a text must be escaped",
};

/** The configuration of a file with its defaults, or its errors with their lines. */
export function parseConfigFile(text: string): ConfigResult {
  const source = text.replace(/^\ufeff/, "");
  if (source.length > MAX_FILE_CHARACTERS) {
    return refused(`the file is longer than ${MAX_FILE_CHARACTERS} characters`);
  }
  if (depthOf(source) > MAX_DEPTH) return refused(`the file nests deeper than ${MAX_DEPTH} levels`);

  const positionOf = positionsIn(source);
  const syntaxErrors: ParseError[] = [];
  const root = parseTree(source, syntaxErrors, { allowTrailingComma: true });
  if (syntaxErrors.length > 0) return { ok: false, errors: firstOfEachLine(positionOf, syntaxErrors) };
  if (root === undefined) return refused("the file is empty");

  const issues: SchemaIssue[] = [];
  const value = valueOfNode(root, [], { positionOf, issues });
  const withLine = ({ path, message }: SchemaIssue, index: number): SchemaIssue => {
    if (index >= MAX_ERRORS) return { path, message };
    const line = lineOf(positionOf, root, path);
    return { path, message: line === undefined ? message : `${message} (line ${line})` };
  };
  const check = checkConfig(value);
  if (!check.ok) return { ok: false, errors: fieldErrors([...issues, ...check.issues.map(withLine)]) };
  if (issues.length > 0) return { ok: false, errors: fieldErrors(issues) };
  return resultOf({ ...check, warnings: check.warnings.map(withLine) });
}

const refused = (message: string): ConfigResult => ({ ok: false, errors: [{ path: "", message }] });

/** The depth of nested objects and lists, found without recursion. */
function depthOf(source: string): number {
  const scanner = createScanner(source, true);
  let depth = 0;
  let deepest = 0;
  for (scanner.scan(); scanner.getTokenOffset() < source.length; scanner.scan()) {
    const first = source.charAt(scanner.getTokenOffset());
    if (first === "{" || first === "[") deepest = Math.max(deepest, ++depth);
    if (first === "}" || first === "]") depth--;
  }
  return deepest;
}

/** The first error of each line: later errors in a line are usually its consequences. */
function firstOfEachLine(positionOf: PositionOf, syntaxErrors: readonly ParseError[]): FieldError[] {
  const byLine = new Map<number, FieldError>();
  for (const { error, offset } of syntaxErrors) {
    const { line, column } = positionOf(offset);
    if (byLine.has(line)) continue;
    const message = SYNTAX_ERRORS[printParseErrorCode(error)] ?? "not JSON";
    byLine.set(line, { path: "", message: `line ${line}, column ${column}: ${message}` });
  }
  return [...byLine.values()].slice(0, MAX_SYNTAX_ERRORS);
}

type Reading = { readonly positionOf: PositionOf; readonly issues: SchemaIssue[] };

/** The value of a node. Duplicate keys, and keys that would change the prototype of an object, become issues. */
function valueOfNode(node: Node, path: IssuePath, reading: Reading): Json {
  const { positionOf, issues } = reading;
  const children = node.children ?? [];
  if (node.type === "array")
    return children.map((item, index) => valueOfNode(item, [...path, index], reading));
  if (node.type !== "object") return node.value;

  const entries = new Map<string, Json>();
  const lines = new Map<string, number>();
  for (const property of children) {
    const [keyNode, valueNode] = property.children ?? [];
    if (keyNode === undefined || valueNode === undefined) continue;
    const key = String(keyNode.value);
    const { line } = positionOf(keyNode.offset);
    const first = lines.get(key);
    if (first !== undefined) {
      const where = first === line ? `line ${line}` : `lines ${first} and ${line}`;
      issues.push({ path: [...path, key], message: `key "${shownKey(key)}" is given twice (${where})` });
    }
    if (key === "__proto__") {
      const issue = unknownKeyIssue(Config, path, key);
      issues.push({ ...issue, message: `${issue.message} (line ${line})` });
    }
    lines.set(key, line);
    entries.set(key, valueOfNode(valueNode, [...path, key], reading));
  }
  return objectFrom(entries);
}

/** The line of a key or of an item in a list; undefined for a default, which the file does not contain. */
function lineOf(positionOf: PositionOf, root: Node, path: IssuePath): number | undefined {
  if (path.length === 0) return undefined;
  const node = findNodeAtLocation(root, [...path]);
  if (node === undefined) return undefined;
  return positionOf(node.parent?.type === "property" ? node.parent.offset : node.offset).line;
}

/** Line and column of an offset, both counted from 1 as in editors. */
type PositionOf = (offset: number) => { readonly line: number; readonly column: number };

/** Finds the lines once: a file with many keys needs as many positions. */
function positionsIn(source: string): PositionOf {
  const lineStarts = [0, ...[...source.matchAll(/\r\n|\r|\n/g)].map((end) => end.index + end[0].length)];
  return (offset) => {
    let line = 0;
    let after = lineStarts.length;
    while (after - line > 1) {
      const middle = (line + after) >> 1;
      if ((lineStarts[middle] ?? 0) <= offset) line = middle;
      else after = middle;
    }
    return { line: line + 1, column: offset - (lineStarts[line] ?? 0) + 1 };
  };
}
