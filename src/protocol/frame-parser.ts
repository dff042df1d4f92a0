/**
 * Parses what an agent sent over its socket into frames, each valid or with what is wrong with it. Pure. The frames of a
 * batch are checked one by one.
 */
import type { Problem } from "../contract/problem.ts";
import {
  AgentFrame,
  BATCH_FRAME_LIMIT_CHARACTERS,
  BatchFrame,
  FRAME_LIMIT_CHARACTERS,
} from "../contract/socket.ts";
import { readJson } from "../validation/json-text.ts";
import { fieldErrors, schemaIssues } from "../validation/schema-issues.ts";

/** `characters` is about the length of the frame, for bounds. */
export type ParsedFrame =
  | { ok: true; frame: AgentFrame; characters: number }
  | { ok: false; requestId: string | null; problem: Problem };

type Schema = (typeof AgentFrame.options)[number];
const SCHEMAS: ReadonlyMap<unknown, Schema> = new Map(
  AgentFrame.options.map((schema) => [schema.shape.type.value, schema]),
);

const REQUEST_ID_LIMIT = 64;

export function parseFrames(data: string | ArrayBuffer): ParsedFrame[] {
  if (typeof data !== "string") return [refused(null, "a frame must be text: send JSON")];
  if (data.length > BATCH_FRAME_LIMIT_CHARACTERS) return [tooLong(null, BATCH_FRAME_LIMIT_CHARACTERS)];
  const read = readJson(data);
  if (!read.ok) return [refused(null, `the frame ${read.flaw}`)];
  const { value } = read;
  if (isBatch(value)) return framesOfBatch(value, data.length);
  if (data.length > FRAME_LIMIT_CHARACTERS) return [tooLong(requestIdOf(value), FRAME_LIMIT_CHARACTERS)];
  return [frameOf(value, data.length)];
}

function framesOfBatch(value: object, characters: number): ParsedFrame[] {
  const parsed = BatchFrame.safeParse(value);
  if (!parsed.success) return [invalid(requestIdOf(value), BatchFrame, parsed.error)];
  const { frames } = parsed.data;
  // No frame of a batch is longer than the batch.
  const isShort = characters <= FRAME_LIMIT_CHARACTERS;
  return frames.map((frame) => {
    const length = isShort ? Math.ceil(characters / frames.length) : JSON.stringify(frame).length;
    return length > FRAME_LIMIT_CHARACTERS
      ? tooLong(requestIdOf(frame), FRAME_LIMIT_CHARACTERS)
      : frameOf(frame, length);
  });
}

function frameOf(value: unknown, characters: number): ParsedFrame {
  const type = memberOf(value, "type");
  const schema = SCHEMAS.get(type);
  if (schema === undefined) {
    const known = [...SCHEMAS.keys()].join(", ");
    return {
      ok: false,
      requestId: requestIdOf(value),
      problem: {
        code: "invalid_request",
        detail: "the frame is not valid",
        errors: [{ path: "type", message: `must be one of ${known}, batch` }],
      },
    };
  }
  const parsed = schema.safeParse(value);
  return parsed.success
    ? { ok: true, frame: parsed.data, characters }
    : invalid(requestIdOf(value), schema, parsed.error);
}

function isBatch(value: unknown): value is object {
  return memberOf(value, "type") === "batch";
}

function requestIdOf(value: unknown): string | null {
  const id = memberOf(value, "request_id");
  return typeof id === "string" && id.length > 0 && id.length <= REQUEST_ID_LIMIT ? id : null;
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

function invalid(
  requestId: string | null,
  schema: Parameters<typeof schemaIssues>[0],
  error: Parameters<typeof schemaIssues>[1],
): ParsedFrame {
  const errors = fieldErrors(schemaIssues(schema, error));
  return {
    ok: false,
    requestId,
    problem: { code: "invalid_request", detail: "the frame is not valid", errors },
  };
}

function refused(requestId: string | null, detail: string): ParsedFrame {
  return { ok: false, requestId, problem: { code: "invalid_request", detail } };
}

function tooLong(requestId: string | null, limit: number): ParsedFrame {
  const detail = `a frame has at most ${FRAME_LIMIT_CHARACTERS} characters, a batch ${BATCH_FRAME_LIMIT_CHARACTERS}`;
  return {
    ok: false,
    requestId,
    problem: { code: "payload_too_large", detail, evidence: { limit } },
  };
}
