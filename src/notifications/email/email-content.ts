/**
 * The content of a mail before it becomes plain text or HTML: a section for each incident, with parts of short lines. Each
 * line is bounded and printable, and their number is bounded: a receiver would cut a longer mail at any place.
 */
import type { Severity } from "../../contract/failure.ts";
import type { Incident } from "../../contract/incident.ts";
import { facts } from "../incident-facts.ts";
import { counts, groupsInWords, headline, timing } from "../incident-summary.ts";
import type { NotificationMessage } from "../notification-message.ts";
import { counted, momentInWords, printable } from "../text.ts";

/** The colour of a section. */
export type Mark = Severity | "resolved" | "test";

export type EmailPart = { readonly title: string; readonly lines: readonly string[] };

export type EmailSection = {
  readonly headline: string;
  readonly mark: Mark;
  /** The incident in numbers, one sentence a line. */
  readonly summary: readonly string[];
  readonly parts: readonly EmailPart[];
  /** The key of the incident; null if the foot of the mail has it. */
  readonly dedupKey: string | null;
};

export type EmailContent = {
  /** The headlines when there are several sections, otherwise empty. */
  readonly contents: readonly string[];
  readonly sections: readonly EmailSection[];
  /** Says how many sections are left out; null if none are. */
  readonly omission: string | null;
  /** The dashboard's address, or null. */
  readonly link: string | null;
  /** For searches and programs: the incident, and where the mail comes from. */
  readonly foot: readonly string[];
};

/** More than the longest line that is made of ids and texts within their bounds. */
const MAX_LINE_CHARACTERS = 1200;
/** Lines about moved tasks in one section, roughly: more are hard to read. */
const MOVES_SHOWN = 100;
/** A digest is an overview; the list of incidents has the rest. */
const DIGEST = { sections: 20, contents: 100, entries: 10, moves: 10 };

export function emailContentOf(message: NotificationMessage): EmailContent {
  const frame = { contents: [], omission: null, link: linkOf(message), foot: [originOf(message)] };
  switch (message.kind) {
    case "test":
      return { ...frame, sections: [testSection(message)] };
    case "incident":
      return {
        ...frame,
        sections: message.incidents.map((incident) => ({
          ...sectionOf(incident, Infinity, MOVES_SHOWN),
          dedupKey: null,
        })),
        foot: [...message.incidents.map(({ dedup_key }) => line(`Dedup key: ${dedup_key}`)), ...frame.foot],
      };
    case "digest":
      return { ...frame, ...digestOf(message.incidents) };
  }
}

function digestOf(incidents: readonly Incident[]): Pick<EmailContent, "contents" | "sections" | "omission"> {
  const unnamed = incidents.length - DIGEST.contents;
  const omitted = incidents.length - DIGEST.sections;
  return {
    contents: [
      ...incidents.slice(0, DIGEST.contents).map((incident) => line(headline(incident))),
      ...(unnamed > 0 ? [`and ${unnamed} more`] : []),
    ],
    sections: incidents
      .slice(0, DIGEST.sections)
      .map((incident) => sectionOf(incident, DIGEST.entries, DIGEST.moves)),
    omission:
      omitted > 0
        ? `${counted(omitted, "more incident")} without a section in this mail; failover-coordinator incidents lists all.`
        : null,
  };
}

function sectionOf(incident: Incident, maxEntries: number, maxMoves: number): EmailSection {
  const { failed, moved, stranded, locks, recovered } = facts(shortened(incident, maxEntries, maxMoves));
  const groups = groupsInWords(incident);
  const parts = [
    { title: "What failed", lines: failed },
    { title: incident.status === "resolved" ? "When" : "Since when", lines: times(incident) },
    { title: "Recovered", lines: recovered },
    { title: "What moved where", lines: moved },
    { title: "Tasks without an agent", lines: stranded },
    { title: "Locks", lines: locks === null ? [] : [locks] },
    // Of the whole incident: the steps do not depend on the entries that are shown.
    { title: "What to do", lines: facts(incident).toDo },
  ];
  return {
    headline: line(headline(incident)),
    mark: incident.status === "resolved" ? "resolved" : incident.severity,
    summary: [counts(incident), ...(groups === null ? [] : [`By group: ${groups}`])].map(sentence),
    parts: parts
      .filter(({ lines }) => lines.length > 0)
      .map(({ title, lines }) => ({ title, lines: lines.map(line) })),
    dedupKey: line(incident.dedup_key),
  };
}

function testSection({ cluster }: NotificationMessage): EmailSection {
  return {
    headline: "This is a test. Nothing failed.",
    mark: "test",
    summary: [],
    parts: [
      {
        title: "What works",
        lines: [
          line(`Cluster ${cluster} can send mail: its provider, sender and password or key are right`),
          "The mail reaches you: you are a recipient, and no filter removed it",
        ],
      },
      { title: "What to do", lines: ["Nothing. When something fails, you get a mail like this one"] },
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

/** The same incident with fewer entries and moves. Its counts still cover all of them. */
function shortened(incident: Incident, maxEntries: number, maxMoves: number): Incident {
  const entries = incident.entries.slice(0, maxEntries);
  const movesAnEntry = Math.max(2, Math.floor(maxMoves / Math.max(1, entries.length)));
  return {
    ...incident,
    entries: entries.map((entry) => ({ ...entry, moved: entry.moved.slice(0, movesAnEntry) })),
    entries_omitted: incident.entries_omitted + incident.entries.length - entries.length,
  };
}

/** Only http addresses become links: a mail client may open any link. */
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
