/**
 * Reads and parses the body of a request once, for validation and for the handler. The body must be small enough and
 * must be JSON in UTF-8 that is not nested too deeply; its schema is checked later, by the route.
 */
import type { MiddlewareHandler } from "hono";
import { readJson } from "../../src/validation/json-text.ts";
import type { Vars } from "../context.ts";
import { Refused } from "../errors.ts";

const BODY_LIMIT_BYTES = 256 * 1024;
const BATCH_LIMIT_BYTES = 8 * 1024 * 1024;

/** Whole paths: an agent or a lock may be called `results`. */
const BATCH_PATH = /^\/v1\/clusters\/[^/]+\/(?:tasks\/batch|results|groups\/[^/]+\/heartbeats)$/;

const JSON_TYPE = /^application\/json\s*(;|$)/i;
/** RFC 7396, which a `PATCH` may name. */
const MERGE_PATCH_TYPE = /^application\/merge-patch\+json\s*(;|$)/i;

/**
 * A client that is still sending does not read the refusal and sees a broken connection instead. So the Worker reads
 * and drops this much of a body that is too large before it answers.
 */
const DRAIN_LIMIT_BYTES = 4 * BATCH_LIMIT_BYTES;

/** From the headers to the end of the body. The platform sets no bound, and each such request keeps memory. */
const TIME_LIMIT_MS = 30_000;

/** @param timeLimitMs shorter in tests */
export function readJsonBody(timeLimitMs = TIME_LIMIT_MS): MiddlewareHandler<Vars> {
  return async (c, next) => {
    const limitBytes = BATCH_PATH.test(c.req.path) ? BATCH_LIMIT_BYTES : BODY_LIMIT_BYTES;
    const bytes = await withinTime(readBytes(c.req.raw, limitBytes), timeLimitMs);
    if (bytes === null) {
      throw new Refused({
        code: "payload_too_large",
        detail: `the body is larger than ${limitBytes / 1024} KB, the limit of this route; send less in one request`,
      });
    }
    if (c.req.method !== "GET" && c.req.method !== "HEAD") c.set("body", jsonOf(bytes, c.req.raw));
    return next();
  };
}

/** @throws Refused if the body does not arrive in time, or breaks off */
async function withinTime(
  reading: Promise<ArrayBuffer | null>,
  limitMs: number,
): Promise<ArrayBuffer | null> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const detail = `the body did not arrive within ${limitMs / 1000} s; send the whole body at once`;
    reject(new Refused({ code: "request_timeout", detail }));
  }, limitMs);
  const whole = reading.catch(() => {
    const detail = "the body ends early or has a wrong length or encoding; send the request again";
    throw new Refused({ code: "invalid_request", detail });
  });
  try {
    return await Promise.race([whole, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The whole body, or null if it is larger than that. */
async function readBytes(request: Request, limitBytes: number): Promise<ArrayBuffer | null> {
  const { body, headers } = request;
  if (body === null) return new ArrayBuffer(0);
  const isMeasured = headers.has("Content-Length") && !headers.has("Transfer-Encoding");
  if (isMeasured && Number(headers.get("Content-Length")) <= limitBytes) return request.arrayBuffer();
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes <= limitBytes) chunks.push(chunk);
    else if (sizeBytes > DRAIN_LIMIT_BYTES) return null;
    else chunks.length = 0;
  }
  return sizeBytes <= limitBytes ? new Blob(chunks).arrayBuffer() : null;
}

/** @returns undefined for an empty body */
function jsonOf(bytes: ArrayBuffer, { method, headers }: Request): unknown {
  if (!["", "identity"].includes(headers.get("Content-Encoding") ?? "")) {
    throw new Refused({
      code: "unsupported_media_type",
      detail: "the body must not be compressed; send it without Content-Encoding",
    });
  }
  const text = utf8(bytes);
  if (text === null) throw new Refused({ code: "invalid_request", detail: "the body is not valid UTF-8" });
  if (text === "") return undefined;
  if (!isJsonType(method, headers.get("Content-Type") ?? "")) {
    throw new Refused({
      code: "unsupported_media_type",
      detail: "the body must be JSON; send Content-Type: application/json",
    });
  }
  const read = readJson(text);
  if (!read.ok) throw new Refused({ code: "invalid_request", detail: `the body ${read.flaw}` });
  return read.value;
}

function isJsonType(method: string, contentType: string): boolean {
  return JSON_TYPE.test(contentType) || (method === "PATCH" && MERGE_PATCH_TYPE.test(contentType));
}

function utf8(bytes: ArrayBuffer): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    return null;
  }
}
