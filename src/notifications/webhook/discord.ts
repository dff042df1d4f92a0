/**
 * A message for a webhook of Discord: one embed, coloured by severity. Text of agents is escaped, so that it makes no
 * links, and `allowed_mentions` prevents mentions.
 *
 * https://docs.discord.com/developers/resources/webhook#execute-webhook
 * https://docs.discord.com/developers/resources/message#embed-object-embed-limits
 */
import type { Severity } from "../../contract/failure.ts";
import type { Incident } from "../../contract/incident.ts";
import { sections, TEST_NOTE } from "../incident-facts.ts";
import { counts, headline, overview, timing } from "../incident-summary.ts";
import type { NotificationMessage } from "../notification-message.ts";
import { counted } from "../text.ts";
import type { Preset } from "./preset.ts";
import { escapedWithin, fitted } from "./truncation.ts";

/**
 * Discord's limits: title 256, description 4096, a field's value 1024, and 6000 for the whole
 * embed. These stay below: 256 + 900 + 6 × (20 + 700) + 300 < 6000, and 256 + 4096 + 300 too.
 */
const MAX_TITLE_CHARACTERS = 256;
const MAX_DIGEST_CHARACTERS = 4096;
const MAX_DESCRIPTION_CHARACTERS = 900;
const MAX_FIELD_CHARACTERS = 700;
const MAX_FOOTER_CHARACTERS = 300;

/** Red to blue for firing incidents, green for resolved ones. */
const COLOURS: Readonly<Record<Severity, number>> = {
  info: 0x3498db,
  warning: 0xf1c40f,
  error: 0xe67e22,
  critical: 0xe74c3c,
};
const RESOLVED_COLOUR = 0x2ecc71;

export const discordPreset: Preset = {
  defaultUrl: null,
  missing: () => null,
  bodies: (message) => [discordMessage(message)],
};

export function discordMessage(message: NotificationMessage) {
  const { cluster, kind, incidents, dashboardUrl } = message;
  const [first] = incidents;
  const title = kind === "incident" && first !== undefined ? headline(first) : message.subject;
  const key = kind === "digest" ? undefined : first?.dedup_key;
  return {
    content: "",
    embeds: [
      {
        title: escapedWithin(title, MAX_TITLE_CHARACTERS, escaped) || "Failover",
        description: descriptionOf(message),
        ...(dashboardUrl === null ? {} : { url: dashboardUrl }),
        color: message.status === "resolved" ? RESOLVED_COLOUR : COLOURS[message.severity],
        timestamp: message.at,
        fields: kind === "digest" || first === undefined ? [] : fieldsOf(first),
        footer: {
          // Discord does not read Markdown in a footer, so nothing is escaped there.
          text: escapedWithin(
            [`cluster ${cluster}`, ...(key === undefined ? [] : [key])].join(" · "),
            MAX_FOOTER_CHARACTERS,
            (text) => text,
          ),
        },
      },
    ],
    allowed_mentions: { parse: [] },
  };
}

function descriptionOf({ kind, incidents }: NotificationMessage): string {
  if (kind === "digest") {
    const lines = incidents.map(
      (incident) => `• ${headline(incident)}: ${timing(incident)}; ${counts(incident)}`,
    );
    return fitted([counted(incidents.length, "incident"), ...lines], MAX_DIGEST_CHARACTERS, escaped);
  }
  const above = incidents.slice(0, 1).flatMap(overview);
  return fitted(kind === "test" ? [TEST_NOTE, ...above] : above, MAX_DESCRIPTION_CHARACTERS, escaped);
}

function fieldsOf(incident: Incident) {
  return sections(incident).map(({ title, lines }) => {
    const items = lines.length > 1 ? lines.map((line) => `• ${line}`) : lines;
    return { name: title, value: fitted(items, MAX_FIELD_CHARACTERS, escaped), inline: false };
  });
}

/** Escapes the signs of Discord's Markdown, mentions and masked links included. */
function escaped(text: string): string {
  return text.replace(/[\\*_~`|<>[\]()#@]/g, "\\$&");
}
