/** The shapes that a webhook's body can have, by the name in the configuration. */
import type { WebhookNotificationConfig } from "../../contract/config/notification.ts";
import { cloudEventPreset } from "./cloud-event.ts";
import { discordPreset } from "./discord.ts";
import { pagerDutyPreset } from "./pagerduty.ts";
import type { Preset } from "./preset.ts";
import { slackPreset } from "./slack.ts";

export const PRESETS: Readonly<Record<WebhookNotificationConfig["preset"], Preset>> = {
  cloudevents: cloudEventPreset,
  slack: slackPreset,
  discord: discordPreset,
  pagerduty: pagerDutyPreset,
};
