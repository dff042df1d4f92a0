/**
 * Checks answers against the server's own OpenAPI document: the operation, the status, the content type and the
 * body's
 * schema must all be in it. An object may hold only fields that its schema names, and a keyword that
 * this checker does not know is an error, so that every part of an answer is checked.
 */
import * as z from "zod";

const Schema = z.record(z.string(), z.unknown());
type Schema = z.infer<typeof Schema>;

const Content = z.record(z.string(), z.object({ schema: Schema }));
const Parameter = z.object({ name: z.string(), in: z.string(), required: z.boolean(), schema: Schema });
const Operation = z.object({
  operationId: z.string(),
  summary: z.string(),
  security: z.array(z.record(z.string(), z.array(z.string()))),
  parameters: z.array(Parameter),
  requestBody: z.object({ required: z.boolean(), content: Content }).optional(),
  responses: z.record(z.string(), z.object({ description: z.string(), content: Content.optional() })),
});
export type Operation = z.infer<typeof Operation> & { method: string; path: string };

const OpenApiDocument = z.object({
  openapi: z.string(),
  info: z.object({ title: z.string(), version: z.string() }),
  paths: z.record(z.string(), z.record(z.string(), Operation)),
  components: z.object({
    schemas: z.record(z.string(), Schema),
    securitySchemes: z.record(z.string(), z.object({ type: z.string(), scheme: z.string() })),
  }),
});
export type OpenApiDocument = z.infer<typeof OpenApiDocument>;

export type CheckedAnswer = { status: number; contentType: string | null; body: unknown };

const ANNOTATIONS = new Set(["description", "default", "title", "unit", "secret"]);
const COMPONENTS = "#/components/schemas/";

export class OpenApiChecker {
  readonly document: OpenApiDocument;
  readonly operations: readonly Operation[];
  readonly #patterns: readonly { operation: Operation; pattern: RegExp }[];

  constructor(document: unknown) {
    this.document = OpenApiDocument.parse(document);
    this.operations = Object.entries(this.document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        ...operation,
        method: method.toUpperCase(),
        path,
      })),
    );
    this.#patterns = this.operations.map((operation) => ({ operation, pattern: patternOf(operation.path) }));
  }

  /** @param path without its query */
  operation(method: string, path: string): Operation | undefined {
    return this.#patterns.find(({ operation, pattern }) => operation.method === method && pattern.test(path))
      ?.operation;
  }

  /** The deviations of an answer from the document; empty if there are none. */
  complaints(method: string, path: string, answer: CheckedAnswer): string[] {
    const operation = this.operation(method, path);
    if (operation === undefined) {
      const isRefusal = answer.contentType === "application/problem+json";
      return isRefusal ? this.check(this.component("Problem"), answer.body) : ["no such operation"];
    }
    const response = operation.responses[String(answer.status)] ?? operation.responses.default;
    if (response === undefined) return [`status ${answer.status} is not documented`];
    if (response.content === undefined)
      return answer.body === null ? [] : ["a body where none is documented"];
    const mediaType = answer.contentType?.split(";")[0] ?? "";
    const media = response.content[mediaType];
    if (media === undefined) return [`content type ${mediaType} is not documented for ${answer.status}`];
    return this.check(media.schema, answer.body);
  }

  component(id: string): Schema {
    const schema = this.document.components.schemas[id];
    if (schema === undefined) throw new Error(`no component ${id}`);
    return schema;
  }

  check(schema: Schema, value: unknown, at = ""): string[] {
    return Object.entries(schema).flatMap(([keyword, bound]) =>
      this.#checkKeyword(keyword, bound, schema, value, at),
    );
  }

  #checkKeyword(keyword: string, bound: unknown, schema: Schema, value: unknown, at: string): string[] {
    const unless = (isFine: boolean) => (isFine ? [] : [`${at}: ${keyword} ${JSON.stringify(bound)}`]);
    if (ANNOTATIONS.has(keyword)) return [];
    switch (keyword) {
      case "$ref":
        return this.check(this.component(String(bound).slice(COMPONENTS.length)), value, at);
      case "anyOf":
        return unless(schemasIn(bound).some((option) => this.check(option, value, at).length === 0));
      case "type":
        return unless([bound].flat().some((type) => isOfType(value, String(type))));
      case "enum":
        return unless(Array.isArray(bound) && bound.includes(value));
      case "const":
        return unless(value === bound);
      case "minimum":
        return unless(typeof value !== "number" || value >= Number(bound));
      case "maximum":
        return unless(typeof value !== "number" || value <= Number(bound));
      case "minLength":
        return unless(typeof value !== "string" || value.length >= Number(bound));
      case "maxLength":
        return unless(typeof value !== "string" || value.length <= Number(bound));
      case "pattern":
        return unless(typeof value !== "string" || new RegExp(String(bound), "u").test(value));
      case "format":
        return unless(typeof value !== "string" || isOfFormat(value, String(bound)));
      case "maxItems":
        return unless(!Array.isArray(value) || value.length <= Number(bound));
      case "maxProperties":
        return unless(!isObject(value) || Object.keys(value).length <= Number(bound));
      case "items":
        return Array.isArray(value)
          ? value.flatMap((item, index) => this.check(schemaIn(bound), item, `${at}[${index}]`))
          : [];
      case "required":
        return unless(!isObject(value) || namesIn(bound).every((key) => key in value));
      case "propertyNames":
        return isObject(value)
          ? Object.keys(value).flatMap((key) => this.check(schemaIn(bound), key, `${at}.${key}`))
          : [];
      case "properties":
        return isObject(value) ? this.#checkMembers(schemaIn(bound), schema, value, at) : [];
      case "additionalProperties":
        return "properties" in schema || !isObject(value) ? [] : this.#checkMembers({}, schema, value, at);
      default:
        return [`${at}: the checker does not know the keyword ${keyword}`];
    }
  }

  #checkMembers(properties: Schema, schema: Schema, value: Record<string, unknown>, at: string): string[] {
    return Object.entries(value).flatMap(([key, member]) => {
      const known = Object.hasOwn(properties, key) ? properties[key] : (schema.additionalProperties ?? false);
      if (known === false) return [`${at}.${key}: is not documented`];
      return this.check(schemaIn(known), member, `${at}.${key}`);
    });
  }
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(".", "\\.").replace(/\{[^}]+\}/g, "[^/]+")}$`);
}

/** Parses each part of the document once, however many answers are checked by it. */
function parsedOnce<Part>(type: z.ZodType<Part>): (part: unknown) => Part {
  const parsed = new Map<unknown, Part>();
  return (part) => {
    const known = parsed.get(part);
    if (known !== undefined) return known;
    const fresh = type.parse(part);
    parsed.set(part, fresh);
    return fresh;
  };
}

const schemaIn = parsedOnce(Schema);
const schemasIn = parsedOnce(z.array(Schema));
const namesIn = parsedOnce(z.array(z.string()));

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return isObject(value);
    case "integer":
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function isOfFormat(value: string, format: string): boolean {
  if (format === "date-time") return !Number.isNaN(Date.parse(value));
  if (format === "uri") return URL.canParse(value);
  return false;
}
