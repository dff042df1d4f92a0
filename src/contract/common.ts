/** Shapes that many parts of the contract share: ids, names, texts, instants, durations and pages. */
import * as z from "zod";

/** Ids of clusters, groups, agents and tasks. They contain no `/`, so `a/b` is a unique name for a pair of them. */
export const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

export const Id = z
  .string()
  .regex(
    ID_PATTERN,
    "must have 1 to 128 characters of A-Z a-z 0-9 . _ : -, and must begin with a letter or digit",
  )
  .meta({ description: "1 to 128 characters of `A-Z a-z 0-9 . _ : -`; the first is a letter or digit." });

/** No control characters, no lone surrogates, and no characters that change the direction of the text around them. */
const PRINTABLE = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+$/u;

/** One line of printable text, longer than a `Name`. */
export const LongName = z.string().min(1).max(256).regex(PRINTABLE, "must have printable characters only");

/** The name of a lock. */
export const ResourceId = LongName.meta({
  description: "1 to 256 printable characters, percent-encoded in the path.",
});

/** An RFC 3339 instant in UTC with milliseconds, from the clock of the coordinator. */
export const Instant = z.iso.datetime({ precision: 3 });

/** A capability, a task type, a key of a label: one line of printable text. */
export const Name = z.string().min(1).max(128).regex(PRINTABLE, "must have printable characters only");

/** Free text from callers. It is stored unchanged and escaped where people read it. */
export const Text = z.string().max(4096);

/** Backup agents that a task or an agent may have. */
export const MAX_BACKUPS = 16;

export const JsonValue = z
  .custom<z.core.util.JSONType>((value) => value !== undefined)
  .meta({ description: "Any JSON value." });

export const Labels = z
  .record(Name, z.string().max(256))
  .refine((labels) => Object.keys(labels).length <= 64, {
    message: "must have at most 64 labels",
  });

/** Query parameters of every list. A list that is not ordered by number replaces `cursor`. */
export const PageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(500).default(50),
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "must be the `next_cursor` of an earlier page")
    .optional(),
});

/** A page of a list. `next_cursor` is null on the last page. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), next_cursor: z.string().nullable() });

export type Page<Item> = { items: Item[]; next_cursor: string | null };
