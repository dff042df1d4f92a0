/** Messages to agents on the wire: how one is sent, and how a box is shown. */
import * as z from "zod";
import { Id, Instant, JsonValue, Name, pageOf } from "./common.ts";

/** What a message may carry, as JSON text: large things are stored elsewhere and named here. */
const CONTENT_LIMIT_BYTES = 64 * 1024;

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).byteLength;

/** Who speaks when no agent does. No agent's id begins like this, so none can pass for it. */
export const SYSTEM_SENDER = "@coordinator";
export const OPERATOR_SENDER = "@operator";

export const MessageSending = z
  .strictObject({
    from: Id.optional().meta({
      description: "An agent's own id, which is the default; for others any id, by default `@operator`.",
    }),
    message_type: Name.meta({ description: "What it is about, for its reader to tell." }),
    content: JsonValue.refine((content) => bytesOf(content) <= CONTENT_LIMIT_BYTES, {
      message: `at most ${CONTENT_LIMIT_BYTES / 1024} KB as JSON text`,
    })
      .default(null)
      .meta({ description: `Any JSON value of at most ${CONTENT_LIMIT_BYTES / 1024} KB as text.` }),
  })
  .meta({ id: "MessageSending" });
export type MessageSending = z.infer<typeof MessageSending>;

export const AgentMessage = z
  .object({
    id: z.string().meta({ description: "To acknowledge it by. A later message has a greater number." }),
    from: z.string().meta({ description: "An agent's id, or `@operator`, or `@coordinator`." }),
    message_type: Name,
    content: JsonValue,
    sent_at: Instant,
  })
  .meta({ id: "AgentMessage" });
export type AgentMessage = z.infer<typeof AgentMessage>;

export const MessageAnswer = z.object({ message: AgentMessage });
export const MessagePage = pageOf(AgentMessage);
