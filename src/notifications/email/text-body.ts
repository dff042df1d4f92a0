/** The content of a mail as plain text, in lines short enough for terminals and for quotes in replies. */
import type { EmailContent, EmailPart, EmailSection } from "./email-content.ts";

/** RFC 5322 asks for at most 78: this leaves room for the marks of two replies. */
const LINE_CHARACTERS = 72;

/** Addresses, ids and keys, also at the end of a sentence: they are not broken, so that they can be copied. */
const COPIED = /^\(?(?:https?:\/\/\S+|[A-Za-z0-9][A-Za-z0-9._:/-]{0,255})[),;]*$/;

export function plainText(content: EmailContent): string {
  const { contents, sections, omission, link, foot } = content;
  const isNumbered = contents.length > 0;
  const blocks = [
    ...(isNumbered ? [listOf("In this mail", contents, numbered)] : []),
    ...sections.flatMap((section, at) => sectionBlocks(section, isNumbered ? `${at + 1}. ` : "")),
    ...(omission === null ? [] : [wrapped(omission)]),
    ...(link === null ? [] : [`Dashboard: ${link}`]),
    foot.map((text) => wrapped(text)).join("\n"),
  ];
  return `${blocks.join("\n\n")}\n`;
}

function sectionBlocks({ headline, summary, parts, dedupKey }: EmailSection, number: string): string[] {
  const title = wrapped(headline, number);
  const rule = number === "" ? "" : `\n${"=".repeat(LINE_CHARACTERS)}`;
  return [
    `${title}${rule}`,
    ...(summary.length === 0 ? [] : [summary.map((text) => wrapped(text)).join("\n")]),
    ...parts.map((part: EmailPart) => listOf(part.title, part.lines, () => "- ")),
    ...(dedupKey === null ? [] : [wrapped(`Dedup key: ${dedupKey}`)]),
  ];
}

function listOf(title: string, lines: readonly string[], lead: (at: number) => string): string {
  return [title.toUpperCase(), ...lines.map((text, at) => wrapped(text, lead(at)))].join("\n");
}

const numbered = (at: number) => `${at + 1}. `;

/** Breaks `text` into lines and indents all but the first, so that no text of an agent looks like a title. */
function wrapped(text: string, lead = ""): string {
  const indent = " ".repeat(Math.max(2, lead.length));
  const widthCharacters = LINE_CHARACTERS - indent.length;
  const lines: string[] = [];
  let open = "";
  for (const word of text.split(" ").flatMap((whole) => pieces(whole, widthCharacters))) {
    if (open !== "" && open.length + 1 + word.length > widthCharacters) {
      lines.push(open);
      open = word;
    } else {
      open = open === "" ? word : `${open} ${word}`;
    }
  }
  return `${lead}${[...lines, open].join(`\n${indent}`)}`;
}

/** A long word in parts that fit: some languages write no spaces. */
function pieces(word: string, widthCharacters: number): string[] {
  if (word.length <= widthCharacters || COPIED.test(word)) return [word];
  const parts: string[] = [];
  let open = "";
  // By character, not by UTF-16 unit, so that none is cut in half.
  for (const character of word) {
    if (open.length + character.length > widthCharacters) {
      parts.push(open);
      open = "";
    }
    open += character;
  }
  return [...parts, open];
}
