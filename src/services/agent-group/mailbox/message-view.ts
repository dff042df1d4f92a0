/** A message as the wire shows it. */

import { instant } from "../../../contract/instant.ts";
import type { AgentMessage } from "../../../contract/message.ts";
import type { MessageRow } from "../../../storage/agent-group/messages.ts";

export function messageView({ number, from, messageType, content, sentAtMs }: MessageRow): AgentMessage {
  return {
    id: String(number),
    from,
    message_type: messageType,
    content: JSON.parse(content) as AgentMessage["content"],
    sent_at: instant(sentAtMs),
  };
}
