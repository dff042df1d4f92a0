/** Messages to agents on the wire. */
import * as z from "zod";
import { Id, Instant, JsonValue, Name, pageOf } from "./common.ts";

/** Size of the content as JSON text. Larger data is stored elsewhere and named in the message. */
const CONTENT_LIMIT_BYTES = 64 * 1024;

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).byteLength;

/** Senders that are not agents. No agent can have such an id, because an id begins with a letter or digit. */
export const SYSTEM_SENDER = "@coordinator";
export const OPERATOR_SENDER = "@operator";

export const MessageSending = z
  .strictObject({
    from: Id.optional().meta({
      description:
        "For an agent its own id, which is the default. For an operator any id; default `@operator`.",
    }),
    message_type: Name.meta({ description: "The kind of message, which its reader understands." }),
    content: JsonValue.refine((content) => bytesOf(content) <= CONTENT_LIMIT_BYTES, {
      message: `must have at most ${CONTENT_LIMIT_BYTES / 1024} KB as JSON text`,
    })
      .default(null)
      .meta({ description: `Any JSON value of at most ${CONTENT_LIMIT_BYTES / 1024} KB as text.` }),
  })
  .meta({ id: "MessageSending" });
export type MessageSending = z.infer<typeof MessageSending>;

export const AgentMessage = z
  .object({
    id: z
      .string()
      .meta({ description: "Used to acknowledge the message. A later message has a greater number." }),
    from: z.string().meta({ description: "The id of an agent, or `@operator`, or `@coordinator`." }),
    message_type: Name,
    content: JsonValue,
    sent_at: Instant,
  })
  .meta({ id: "AgentMessage" });
export type AgentMessage = z.infer<typeof AgentMessage>;

export const MessageAnswer = z.object({ message: AgentMessage });
export const MessagePage = pageOf(AgentMessage);
