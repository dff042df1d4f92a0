/**
 * A notice for a webhook of Discord: one embed, coloured by how grave it is. Whatever agents wrote is
 * escaped, so that it makes no link, and `allowed_mentions` lets nobody be called.
 *
 * https://docs.discord.com/developers/resources/webhook#execute-webhook
 * https://docs.discord.com/developers/resources/message#embed-object-embed-limits
 */
import type { Severity } from "../../contract/failure.ts";
import type { Incident } from "../../contract/incident.ts";
import type { NotificationMessage } from "../notification-message.ts";
import { counted, counts, headline, overview, sections, TEST_NOTE, timing } from "../wording.ts";
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

/** Red to blue for what is on, green for what is over. */
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
  bodies: (notice) => [discordMessage(notice)],
};

export function discordMessage(notice: NotificationMessage) {
  const { cluster, kind, incidents, dashboardUrl } = notice;
  const [first] = incidents;
  const title = kind === "incident" && first !== undefined ? headline(first) : notice.subject;
  const key = kind === "digest" ? undefined : first?.dedup_key;
  return {
    content: "",
    embeds: [
      {
        title: escapedWithin(title, MAX_TITLE_CHARACTERS, escaped) || "Failover",
        description: descriptionOf(notice),
        ...(dashboardUrl === null ? {} : { url: dashboardUrl }),
        color: notice.status === "resolved" ? RESOLVED_COLOUR : COLOURS[notice.severity],
        timestamp: notice.at,
        fields: kind === "digest" || first === undefined ? [] : fieldsOf(first),
        footer: {
          // Discord reads no markdown in a footer: nothing in it is escaped.
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

/** What Discord's markdown takes for a sign of its own, mentions and masked links among it. */
function escaped(text: string): string {
  return text.replace(/[\\*_~`|<>[\]()#@]/g, "\\$&");
}
