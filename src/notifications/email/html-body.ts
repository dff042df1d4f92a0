/**
 * The content of a mail as an HTML page for mail clients: one column, inline styles, no external resources. Text and
 * background have no colour of their own, so that the dark mode of a client works.
 */
import type { EmailContent, EmailPart, EmailSection, Mark } from "./email-content.ts";
import { type Html, html } from "./html-escape.ts";

/** The bar beside a headline; each colour is visible on white and on black. */
const COLOURS: Readonly<Record<Mark, string>> = {
  info: "#3b82f6",
  warning: "#d97706",
  error: "#ea580c",
  critical: "#dc2626",
  resolved: "#16a34a",
  test: "#3b82f6",
};

const BODY = "margin:0;padding:16px;font:16px/1.5 -apple-system,Roboto,Arial,sans-serif";
const COLUMN = "max-width:600px;margin:0 auto;overflow-wrap:anywhere;word-break:break-word";
const HEADLINE = "margin:24px 0 12px;padding-left:12px;font-size:20px;line-height:1.3;border-left:6px solid ";
const TITLE = "margin:20px 0 4px;font-size:16px";
const PARAGRAPH = "margin:8px 0";
const LIST = "margin:4px 0;padding-left:20px";
const BUTTON =
  "display:inline-block;padding:10px 16px;border-radius:6px;background:#2563eb;color:#ffffff;text-decoration:none";
const FOOT = "margin:24px 0 0;padding-top:12px;border-top:1px solid #808080;font-size:13px";
const SMALL = "margin:12px 0;font-size:13px";

export function htmlPage(subject: string, content: EmailContent): string {
  const { contents, sections, omission, link, foot } = content;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${subject}</title>
</head>
<body style="${BODY}">
<div style="${COLUMN}">
${contents.length === 0 ? "" : contentsOf(contents)}
${sections.map(sectionOf)}
${omission === null ? "" : html`<p style="${PARAGRAPH}">${omission}</p>`}
${link === null ? "" : html`<p style="margin:24px 0"><a href="${link}" style="${BUTTON}">Open the page</a></p>`}
<div style="${FOOT}">${foot.map((text) => html`<div>${text}</div>\n`)}</div>
</div>
</body>
</html>
`;
  return page.markup;
}

function contentsOf(lines: readonly string[]): Html {
  return html`<h2 style="${TITLE}">In this mail</h2>
<ol style="${LIST}">${lines.map(item)}</ol>`;
}

function sectionOf({ headline, mark, summary, parts, dedupKey }: EmailSection): Html {
  return html`<h1 style="${HEADLINE}${COLOURS[mark]}">${headline}</h1>
${summary.map((text) => html`<p style="${PARAGRAPH}">${text}</p>\n`)}
${parts.map(partOf)}
${dedupKey === null ? "" : html`<p style="${SMALL}">Dedup key: ${dedupKey}</p>`}
`;
}

function partOf({ title, lines }: EmailPart): Html {
  return html`<h2 style="${TITLE}">${title}</h2>
<ul style="${LIST}">${lines.map(item)}</ul>
`;
}

function item(text: string): Html {
  return html`<li>${text}</li>\n`;
}
