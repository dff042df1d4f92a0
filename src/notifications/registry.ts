/** Every channel, by its name in the configuration. */
import type { ChannelName } from "../contract/notification.ts";
import type { Channel } from "./channel.ts";
import { emailChannel } from "./email/email.ts";
import { logChannel } from "./log-channel.ts";
import { systemChannel } from "./system-channel.ts";
import { webhookChannel } from "./webhook/webhook.ts";

const CHANNELS: Readonly<Record<ChannelName, Channel>> = {
  log: logChannel,
  email: emailChannel,
  webhook: webhookChannel,
  system: systemChannel,
};

export const channelNamed = (name: ChannelName): Channel => CHANNELS[name];
