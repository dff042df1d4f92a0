/**
 * One description of a record's columns. The statements that write it and the way from a row to the record and
 * back come from the description, so that a new field is one line here.
 *
 *   const LOCKS = new Table<LockRecord>("locks", {
 *     key: ["resource"],
 *     columns: { resource: "resource", ttlMs: "ttl_ms", labels: json("labels"), isHeld: flag("is_held") },
 *   });
 *   LOCKS.replace(sql, lock);
 *   sql.all(`SELECT ${LOCKS.columns} FROM locks`).map(LOCKS.read);
 */
import type { Sql, SqlValue } from "./sql.ts";

/** At most so many values can be bound to one statement. */
const BINDINGS_LIMIT = 100;

type Coded<Kind extends string> = { readonly kind: Kind; readonly column: string };

/** A boolean, stored as 0 or 1. */
export const flag = (column: string): Coded<"flag"> => ({ kind: "flag", column });

/** Any JSON value, stored as text; null becomes the text `null`, for a column that is never NULL. */
export const json = (column: string): Coded<"json"> => ({ kind: "json", column });

/** Any JSON value, stored as text; null becomes NULL. */
export const nullableJson = (column: string): Coded<"nullable_json"> => ({ kind: "nullable_json", column });

/** How a field's type is stored: a text, a number or null under the column's name alone. */
type ColumnOf<Value> = [Value] extends [boolean]
  ? Coded<"flag">
  : [Value] extends [string | number | null]
    ? string
    : Coded<"json" | "nullable_json">;

export type Row = Record<string, SqlValue>;

export type TableDescription<Item, Context> = {
  readonly columns: { readonly [Field in keyof Item]-?: ColumnOf<Item[Field]> };
  /** The fields that identify a row: what `update` goes by. */
  readonly key: readonly (keyof Item)[];
  /** Fields that `update` leaves alone, since they never change. */
  readonly fixed?: readonly (keyof Item)[];
  /** Columns that follow from the record and are not read back: what indexes and queries go by. */
  readonly computed?: { readonly [column: string]: (item: Item, context: Context) => SqlValue };
};

type Encode = (value: unknown) => SqlValue;
type Decode = (value: SqlValue) => unknown;

type Codec = { readonly encode: Encode; readonly decode: Decode };

const CODECS: Record<"flag" | "json" | "nullable_json", Codec> = {
  flag: { encode: (value) => (value ? 1 : 0), decode: (value) => value === 1 },
  json: { encode: jsonText, decode: jsonValue },
  nullable_json: {
    encode: (value) => (value === null ? null : jsonText(value)),
    decode: (value) => (value === null ? null : jsonValue(value)),
  },
};

/** Most values are empty: a call of JSON.stringify or JSON.parse costs more than all plain columns together. */
function jsonText(value: unknown): string {
  if (value === null || value === undefined) return "null";
  return Array.isArray(value) && value.length === 0 ? "[]" : JSON.stringify(value);
}

function jsonValue(text: SqlValue): unknown {
  if (text === "null") return null;
  if (text === "[]") return [];
  return text === "{}" ? {} : JSON.parse(text as string);
}

/** Some fields of a record with their columns. */
class Mapping {
  readonly columns: readonly string[];
  readonly #fields: readonly string[];
  readonly #coded: readonly ({ index: number; field: string } & Codec)[];

  constructor(entries: readonly (readonly [field: string, column: string | Coded<keyof typeof CODECS>])[]) {
    this.#fields = entries.map(([field]) => field);
    this.columns = entries.map(([, column]) => (typeof column === "string" ? column : column.column));
    this.#coded = entries.flatMap(([field, column], index) =>
      typeof column === "string" ? [] : [{ index, field, ...CODECS[column.kind] }],
    );
  }

  /** For SELECT: rows come with the names of the fields. */
  get selection(): string {
    return this.#fields.map((field, index) => `${this.columns[index]} AS "${field}"`).join(", ");
  }

  encode(item: Record<string, unknown>): SqlValue[] {
    const fields = this.#fields;
    const values: SqlValue[] = [];
    // All as they are, then the few that are coded: a loop without a branch is what makes this fast.
    for (let index = 0; index < fields.length; index++)
      values.push(item[fields[index] as string] as SqlValue);
    const coded = this.#coded;
    for (let at = 0; at < coded.length; at++) {
      const { index, encode } = coded[at] as (typeof coded)[number];
      values[index] = encode(values[index]);
    }
    return values;
  }

  /** Turns a row into a record in place. */
  decode(row: Record<string, unknown>): void {
    for (const { field, decode } of this.#coded) row[field] = decode(row[field] as SqlValue);
  }
}

/** @typeParam Context what computed columns need besides the record; nothing by default */
export class Table<Item extends object, Context = void> {
  /** For SELECT: every column under the name of its field. */
  readonly columns: string;
  /** Stores a new row; binds `values`. */
  readonly insertion: string;
  readonly #replacement: string;
  readonly #change: string;
  readonly #all: Mapping;
  /** What `update` binds: the fields that change, then the computed columns, then the key. */
  readonly #changing: Mapping;
  readonly #key: Mapping;
  readonly #computed: readonly ((item: Item, context: Context) => SqlValue)[];

  constructor(name: string, description: TableDescription<Item, Context>) {
    const { columns, computed = {} } = description;
    const key = new Set<string>(description.key as readonly string[]);
    const fixed = new Set<string>((description.fixed ?? []) as readonly string[]);
    const entries = Object.entries<string | Coded<keyof typeof CODECS>>(columns);
    this.#all = new Mapping(entries);
    this.#key = new Mapping(entries.filter(([field]) => key.has(field)));
    this.#changing = new Mapping(entries.filter(([field]) => !key.has(field) && !fixed.has(field)));
    this.#computed = Object.values(computed);
    const stored = [...this.#all.columns, ...Object.keys(computed)];
    if (stored.length > BINDINGS_LIMIT) {
      throw new Error(`${name} has ${stored.length} columns; a statement binds at most ${BINDINGS_LIMIT}`);
    }
    const row = `INTO ${name} (${stored.join(", ")}) VALUES (${stored.map(() => "?").join(", ")})`;
    const equals = (column: string) => `${column} = ?`;
    const set = [...this.#changing.columns, ...Object.keys(computed)].map(equals).join(", ");
    this.columns = this.#all.selection;
    this.insertion = `INSERT ${row}`;
    this.#replacement = `INSERT OR REPLACE ${row}`;
    this.#change = `UPDATE ${name} SET ${set} WHERE ${this.#key.columns.map(equals).join(" AND ")}`;
  }

  insert(sql: Sql, item: Item, context: Context): void {
    sql.all(this.insertion, ...this.values(item, context));
  }

  /** Stores the record in place of one with the same primary key, if there is one. */
  replace(sql: Sql, item: Item, context: Context): void {
    sql.all(this.#replacement, ...this.values(item, context));
  }

  /** Stores everything that can change about a record. */
  update(sql: Sql, item: Item, context: Context): void {
    const values = this.#values(this.#changing, item, context);
    sql.all(this.#change, ...values, ...this.#key.encode(item as Record<string, unknown>));
  }

  /** The bindings of `insertion`. */
  values(item: Item, context: Context): SqlValue[] {
    return this.#values(this.#all, item, context);
  }

  /** Turns a row of `columns`, and of nothing else, into the record. The row itself: copying it costs as much as decoding. */
  readonly read = (row: Row): Item => {
    this.#all.decode(row);
    return row as unknown as Item;
  };

  #values(mapping: Mapping, item: Item, context: Context): SqlValue[] {
    const values = mapping.encode(item as Record<string, unknown>);
    for (const compute of this.#computed) values.push(compute(item, context));
    return values;
  }
}
