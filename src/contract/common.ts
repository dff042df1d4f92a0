/**
 * The small shapes that every noun on the wire shares: ids, instants, durations,
 * numbers with bounds, pages.
 */
import * as z from "zod";

/** Ids of clusters, groups, agents and tasks. They never hold a `/`, so `a/b` joins two of them unambiguously. */
export const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

export const Id = z
  .string()
  .regex(ID_PATTERN, "1 to 128 characters of A-Z a-z 0-9 . _ : -, the first a letter or digit")
  .meta({ description: "1 to 128 characters of `A-Z a-z 0-9 . _ : -`, the first a letter or digit." });

/** No controls, no broken characters, and nothing that turns the direction of the text around it. */
const PRINTABLE = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+$/u;

/** A lock's name: printable characters, percent-encoded in a path. */
export const ResourceId = z
  .string()
  .min(1)
  .max(256)
  .regex(PRINTABLE, "printable characters only")
  .meta({ description: "1 to 256 printable characters, percent-encoded in the path." });

/** An RFC 3339 instant in UTC with milliseconds, by the coordinator's clock. */
export const Instant = z.iso.datetime({ precision: 3 });

/** What a name on the wire may be: capabilities, task types, labels. One line of printable text. */
export const Name = z.string().min(1).max(128).regex(PRINTABLE, "printable characters only");

/** Free text from callers, shown to people: bounded, stored as it is, escaped where it is shown. */
export const Text = z.string().max(4096);

/** Seconds, fractions allowed, for time-outs of tasks. */
export const TimeoutSeconds = z.number().min(0.1).max(2_592_000);

/** Backups that may be named, for a task or for an agent. */
export const MAX_BACKUPS = 16;

export const JsonValue = z
  .custom<z.core.util.JSONType>((value) => value !== undefined)
  .meta({ description: "Any JSON value." });

export const Labels = z
  .record(Name, z.string().max(256))
  .refine((labels) => Object.keys(labels).length <= 64, {
    message: "at most 64 labels",
  });

/** Query parameters of every list; one that is not numbered inside has cursors of its own. */
export const PageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(500).default(50),
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "must be the `next_cursor` of a page before")
    .optional(),
});

/** A page of a list; `next_cursor` is null on the last one. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), next_cursor: z.string().nullable() });

export type Page<Item> = { items: Item[]; next_cursor: string | null };
