/**
 * What a mail says, before it becomes text or a page: chapters of sections of short lines. Every
 * line is bounded and printable, and so is their number: a mail that is too long is cut by the
 * receiver, at a place that nobody chose.
 */
import type { Severity } from "../../contract/failure.ts";
import type { Incident } from "../../contract/incident.ts";
import type { NotificationMessage } from "../notification-message.ts";
import {
  counted,
  counts,
  facts,
  groupsInWords,
  headline,
  momentInWords,
  printable,
  timing,
} from "../wording.ts";

/** How a chapter is marked. */
export type Mark = Severity | "resolved" | "test";

export type EmailPart = { readonly title: string; readonly lines: readonly string[] };

export type EmailSection = {
  readonly headline: string;
  readonly mark: Mark;
  /** What it comes to, a sentence a line. */
  readonly summary: readonly string[];
  readonly sections: readonly EmailPart[];
  /** By which the incident is found again; null where the letter's foot names it. */
  readonly dedupKey: string | null;
};

export type EmailContent = {
  /** What is ahead when there are several chapters, otherwise empty. */
  readonly contents: readonly string[];
  readonly chapters: readonly EmailSection[];
  /** Said when chapters were left out, or null. */
  readonly omission: string | null;
  /** The dashboard's address, or null. */
  readonly link: string | null;
  /** What machines and searches go by: the incident, and where the mail comes from. */
  readonly foot: readonly string[];
};

/** Who failed, for what, where its tasks went: the longest line there is has about this many. */
const MAX_LINE_CHARACTERS = 1200;
/** Lines on moves in one chapter, about: what an eye can still go over. */
const MOVES_SHOWN = 100;
/** A digest is there for the overview; the dashboard has the rest. */
const DIGEST = { chapters: 20, contents: 100, entries: 10, moves: 10 };

export function emailContentOf(notice: NotificationMessage): EmailContent {
  const frame = { contents: [], omission: null, link: linkOf(notice), foot: [originOf(notice)] };
  switch (notice.kind) {
    case "test":
      return { ...frame, chapters: [testChapter(notice)] };
    case "incident":
      return {
        ...frame,
        chapters: notice.incidents.map((incident) => ({
          ...chapterOf(incident, Infinity, MOVES_SHOWN),
          dedupKey: null,
        })),
        foot: [...notice.incidents.map(({ dedup_key }) => line(`Dedup key: ${dedup_key}`)), ...frame.foot],
      };
    case "digest":
      return { ...frame, ...digestOf(notice.incidents) };
  }
}

function digestOf(incidents: readonly Incident[]): Pick<EmailContent, "contents" | "chapters" | "omission"> {
  const unnamed = incidents.length - DIGEST.contents;
  const omitted = incidents.length - DIGEST.chapters;
  return {
    contents: [
      ...incidents.slice(0, DIGEST.contents).map((incident) => line(headline(incident))),
      ...(unnamed > 0 ? [`and ${unnamed} more`] : []),
    ],
    chapters: incidents
      .slice(0, DIGEST.chapters)
      .map((incident) => chapterOf(incident, DIGEST.entries, DIGEST.moves)),
    omission:
      omitted > 0
        ? `${counted(omitted, "more incident")} without a section here; the dashboard has all.`
        : null,
  };
}

function chapterOf(incident: Incident, maxEntries: number, maxMoves: number): EmailSection {
  const { failed, moved, stranded, locks, recovered } = facts(shortened(incident, maxEntries, maxMoves));
  const groups = groupsInWords(incident);
  const sections = [
    { title: "What failed", lines: failed },
    { title: incident.status === "resolved" ? "When" : "Since when", lines: times(incident) },
    { title: "Who is back", lines: recovered },
    { title: "What moved where", lines: moved },
    { title: "What is stranded", lines: stranded },
    { title: "Locks", lines: locks === null ? [] : [locks] },
    // Of the whole incident: what is to be done does not depend on what is shown.
    { title: "What to do", lines: facts(incident).toDo },
  ];
  return {
    headline: line(headline(incident)),
    mark: incident.status === "resolved" ? "resolved" : incident.severity,
    summary: [counts(incident), ...(groups === null ? [] : [`By group: ${groups}`])].map(sentence),
    sections: sections
      .filter(({ lines }) => lines.length > 0)
      .map(({ title, lines }) => ({ title, lines: lines.map(line) })),
    dedupKey: line(incident.dedup_key),
  };
}

function testChapter({ cluster }: NotificationMessage): EmailSection {
  return {
    headline: "This is a test. Nothing failed.",
    mark: "test",
    summary: [],
    sections: [
      {
        title: "What works",
        lines: [
          line(`Cluster ${cluster} can send mail: its provider, sender and password or key are right`),
          "The mail reaches you: you are among the recipients, and no filter held it back",
        ],
      },
      { title: "What to do", lines: ["Nothing. When something fails, you are told like this"] },
    ],
    dedupKey: null,
  };
}

function times(incident: Incident): string[] {
  if (incident.status === "resolved") return [timing(incident)];
  const began = momentInWords(incident.opened_at);
  if (incident.updated_at === incident.opened_at) return [began];
  return [began, `latest change ${momentInWords(incident.updated_at)}`];
}

/** The same incident with fewer entries and moves; its counts cover what is gone. */
function shortened(incident: Incident, maxEntries: number, maxMoves: number): Incident {
  const entries = incident.entries.slice(0, maxEntries);
  const movesAnEntry = Math.max(2, Math.floor(maxMoves / Math.max(1, entries.length)));
  return {
    ...incident,
    entries: entries.map((entry) => ({ ...entry, moved: entry.moved.slice(0, movesAnEntry) })),
    entries_omitted: incident.entries_omitted + incident.entries.length - entries.length,
  };
}

/** Nothing but http becomes a link: a mail client may follow whatever it is given. */
function linkOf({ dashboardUrl }: NotificationMessage): string | null {
  if (dashboardUrl === null || !URL.canParse(dashboardUrl)) return null;
  const { protocol, href } = new URL(dashboardUrl);
  return protocol === "https:" || protocol === "http:" ? href : null;
}

function originOf({ cluster, at, id }: NotificationMessage): string {
  return line(`Cluster ${cluster}, ${momentInWords(at)}, message ${id}`);
}

function line(text: string): string {
  return printable(text, MAX_LINE_CHARACTERS);
}

function sentence(text: string): string {
  return line(`${text}.`);
}
