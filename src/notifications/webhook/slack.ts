/**
 * A message for an incoming webhook of Slack: Block Kit, with a text for push notifications and old clients.
 * Text of agents is escaped and `verbatim`: it makes no links and mentions nobody.
 *
 * https://docs.slack.dev/reference/block-kit/blocks
 * https://docs.slack.dev/messaging/formatting-message-text
 */
import type { Severity } from "../../contract/failure.ts";
import type { Incident } from "../../contract/incident.ts";
import { sections, TEST_NOTE } from "../incident-facts.ts";
import { counts, headline, overview, timing } from "../incident-summary.ts";
import type { NotificationMessage } from "../notification-message.ts";
import { counted } from "../text.ts";
import type { Preset } from "./preset.ts";
import { escapedWithin, fitted } from "./truncation.ts";

const MAX_HEADER_CHARACTERS = 150;
/**
 * Slack takes 3000 a section and 50 blocks. It also refuses a message with more than some 11,000
 * in all its blocks, which it does not document: https://github.com/slackapi/bolt-js/issues/2867.
 * Seven sections of these and the longest link stay below, and so does a digest.
 */
const MAX_SECTION_CHARACTERS = 1000;
const MAX_DIGEST_SECTION_CHARACTERS = 400;
const INCIDENTS_SHOWN = 15;
const MAX_CONTEXT_CHARACTERS = 400;
/** An address of the configuration has at most 2048. */
const MAX_LINK_CHARACTERS = 2200;
/** The text of a push notification; screens show less. */
const MAX_TEXT_CHARACTERS = 1000;

type Block =
  | { type: "header"; text: { type: "plain_text"; text: string; emoji: boolean } }
  | { type: "section"; text: Mrkdwn }
  | { type: "context"; elements: Mrkdwn[] };
type Mrkdwn = { type: "mrkdwn"; text: string; verbatim: boolean };

/** A message in Slack has no colour. */
const SIGNS: Readonly<Record<Severity, string>> = { info: "🔵", warning: "🟡", error: "🟠", critical: "🔴" };
const RESOLVED_SIGN = "🟢";

export const slackPreset: Preset = {
  defaultUrl: null,
  missing: () => null,
  bodies: (message) => [slackMessage(message)],
};

export function slackMessage(message: NotificationMessage) {
  const [first] = message.incidents;
  const isOne = message.kind === "incident" && first !== undefined;
  const title = isOne ? headline(first) : message.subject;
  const sign = message.status === "resolved" ? RESOLVED_SIGN : SIGNS[message.severity];
  return {
    text: fitted(
      [title, ...(isOne ? [timing(first)] : message.incidents.map(headline))],
      MAX_TEXT_CHARACTERS,
      escaped,
    ),
    blocks: [header(`${sign} ${title}`), ...contentOf(message), context(message)],
  };
}

function contentOf({ kind, incidents }: NotificationMessage): Block[] {
  switch (kind) {
    case "incident":
      return incidents.flatMap(incidentBlocks);
    case "test":
      return [section("", [TEST_NOTE]), ...incidents.flatMap(incidentBlocks)];
    case "digest":
      return digestBlocks(incidents);
  }
}

function incidentBlocks(incident: Incident): Block[] {
  return [
    section("", overview(incident)),
    ...sections(incident).map(({ title, lines }) => section(title, lines)),
  ];
}

function digestBlocks(incidents: readonly Incident[]): Block[] {
  const shown = incidents.slice(0, INCIDENTS_SHOWN);
  const omitted = incidents.length - shown.length;
  return [
    ...shown.map((incident) =>
      section(
        headline(incident),
        [`${timing(incident)}; ${counts(incident)}`],
        MAX_DIGEST_SECTION_CHARACTERS,
      ),
    ),
    ...(omitted > 0 ? [section("", [`… and ${counted(omitted, "more incident")}`])] : []),
  ];
}

function header(title: string): Block {
  const text = escapedWithin(title, MAX_HEADER_CHARACTERS, escaped);
  return { type: "header", text: { type: "plain_text", text, emoji: false } };
}

function section(title: string, lines: readonly string[], maxCharacters = MAX_SECTION_CHARACTERS): Block {
  const bold = title === "" ? "" : `*${escapedWithin(title, MAX_HEADER_CHARACTERS, inBold)}*\n`;
  const isList = title !== "" && lines.length > 1;
  const items = isList ? lines.map((line) => `• ${line}`) : lines;
  return {
    type: "section",
    text: mrkdwn(bold + fitted(items, maxCharacters - bold.length, escaped)),
  };
}

function context({ cluster, incidents, kind, dashboardUrl }: NotificationMessage): Block {
  const key = kind === "digest" ? undefined : incidents[0]?.dedup_key;
  const parts = [
    `cluster ${cluster}`,
    ...(key === undefined ? [] : [key]),
    ...(kind === "digest" ? [counted(incidents.length, "incident")] : []),
  ];
  const link = dashboardUrl === null ? "" : linkTo(dashboardUrl);
  const words = escapedWithin(parts.join(" · "), MAX_CONTEXT_CHARACTERS, escaped);
  return { type: "context", elements: [mrkdwn(link === "" ? words : `${words} · ${link}`)] };
}

function linkTo(url: string): string {
  const link = `<${escaped(url).replaceAll("|", "%7C")}|Dashboard>`;
  return link.length > MAX_LINK_CHARACTERS ? "" : link;
}

function mrkdwn(text: string): Mrkdwn {
  return { type: "mrkdwn", text, verbatim: true };
}

/** Slack writes mentions and links with `<` and `>`. A plain `@here` is a mention where names are linked. */
function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replace(/@(?=channel|here|everyone)/gi, "@\u2060");
}

/** An asterisk would end the bold text. */
function inBold(text: string): string {
  return escaped(text.replaceAll("*", ""));
}
