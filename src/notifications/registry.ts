/** Every channel there is. */
import type { ChannelName } from "../contract/notification.ts";
import type { Channel } from "./channel.ts";
import { logChannel } from "./log.ts";

const CHANNELS: Partial<Record<ChannelName, Channel>> = { log: logChannel };

/** The channels of these names that exist. */
export function channelsNamed(names: readonly ChannelName[]): Channel[] {
  return names.flatMap((name) => CHANNELS[name] ?? []);
}
