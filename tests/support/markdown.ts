/** Parts of a Markdown document that tests check: fenced blocks, inline code, links, headings. */

export type FencedBlock = { language: string; text: string; line: number };

export function fencedBlocks(markdown: string): FencedBlock[] {
  const blocks: FencedBlock[] = [];
  let open: FencedBlock | null = null;
  markdown.split("\n").forEach((row, index) => {
    const fence = /^```(\S*)\s*$/.exec(row);
    if (fence === null) {
      if (open !== null) open.text += `${row}\n`;
    } else if (open === null) {
      open = { language: fence[1] ?? "", text: "", line: index + 1 };
    } else {
      blocks.push(open);
      open = null;
    }
  });
  return blocks;
}

/** The text between the fenced blocks. */
export function prose(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```\s*$/gm, "");
}

export function inlineCode(markdown: string): string[] {
  return [...prose(markdown).matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? "");
}

/** Targets of links and pictures, as written. */
export function linkTargets(markdown: string): string[] {
  return [...prose(markdown).matchAll(/\]\(([^()\s]+)\)/g)].map((match) => match[1] ?? "");
}

/** The fragment of a link to a heading, as the usual renderers make it. */
export function anchors(markdown: string): string[] {
  return [...prose(markdown).matchAll(/^#+ (.+)$/gm)].map((match) =>
    (match[1] ?? "")
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}
