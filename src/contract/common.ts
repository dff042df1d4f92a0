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

/** What printable text must not contain: two names that look alike must be equal, and be shown as they are. */
const UNPRINTABLE = {
  "control characters": "\\p{Cc}",
  "line separators": "\\p{Zl}\\p{Zp}",
  "halves of a surrogate pair": "\\p{Cs}",
  "characters that change the direction of text": "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069",
  "zero-width characters": "\\u00ad\\u180e\\u200b-\\u200d\\u2060-\\u2064\\ufeff\\u{e0000}-\\u{e007f}",
} as const;
const UNPRINTABLE_CLASSES = Object.entries(UNPRINTABLE).map(([name, characters]) => ({
  name,
  pattern: new RegExp(`[${characters}]`, "u"),
}));
const PRINTABLE = new RegExp(`^[^${Object.values(UNPRINTABLE).join("")}]*$`, "u");

/** One line of text. The error names the class of the characters that it must not have. */
const printable = (minCharacters: number, maxCharacters: number) =>
  z
    .string()
    .min(minCharacters)
    .max(maxCharacters)
    .regex(PRINTABLE, {
      error: ({ input }) => {
        const found = UNPRINTABLE_CLASSES.filter(({ pattern }) => pattern.test(String(input)));
        return `must not contain ${found.map(({ name }) => name).join(" or ")}`;
      },
    });

/** One line of printable text, longer than a `Name`. */
export const LongName = printable(1, 256);

/** The name of a lock. */
export const ResourceId = LongName.meta({
  description: "1 to 256 printable characters, percent-encoded in the path.",
});

/** An RFC 3339 instant in UTC with milliseconds, from the clock of the coordinator. */
export const Instant = z.iso.datetime({ precision: 3 });

/** A capability, a task type, a key of a label: one line of printable text. */
export const Name = printable(1, 128);

/** Free text from callers. It is stored unchanged and escaped where people read it. */
export const Text = z.string().max(4096);

/** Backup agents that a task or an agent may have. */
export const MAX_BACKUPS = 16;

export const JsonValue = z
  .custom<z.core.util.JSONType>((value) => value !== undefined)
  .meta({ description: "Any JSON value." });

export const Labels = z.record(Name, printable(0, 256)).refine((labels) => Object.keys(labels).length <= 64, {
  message: "must have at most 64 labels",
});

const WHOLE = /^\d{1,15}$/;
/** As JavaScript and Python write numbers, small ones with an exponent: `19.999900000000002`, `1e-7`. */
const DECIMAL = /^\d{1,15}(\.\d{1,30})?(e-\d{1,3})?$/;

/** A whole number that arrives as text, in a query, a path or a header: `16`, and not `0x10`, `1e1` or nothing. */
export const wholeNumber = <Schema extends z.ZodType>(schema: Schema) =>
  numberText(schema, { form: WHOLE, example: "16" });

/** A number that arrives as text in the same places, with a fraction or without. */
export const decimal = <Schema extends z.ZodType>(schema: Schema) =>
  numberText(schema, { form: DECIMAL, example: "0.5" });

function numberText<Schema extends z.ZodType>(schema: Schema, allowed: { form: RegExp; example: string }) {
  return z.preprocess((value, context) => {
    if (value === undefined) return undefined;
    if (typeof value === "string" && allowed.form.test(value)) return Number(value);
    context.addIssue(`must be a decimal number such as ${allowed.example}, and be given once`);
    return z.NEVER;
  }, schema);
}

/** Query parameters of every list. A list that is not ordered by number replaces `cursor`. */
export const PageQuery = z.strictObject({
  limit: wholeNumber(z.int().min(1).max(500).default(50)),
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "must be the `next_cursor` of an earlier page")
    .optional(),
});

/** A page of a list. `next_cursor` is null on the last page. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), next_cursor: z.string().nullable() });

export type Page<Item> = { items: Item[]; next_cursor: string | null };
