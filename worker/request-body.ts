/**
 * Checks on a body before any schema sees it: its size, its type, and that it is JSON not
 * nested too deeply.
 */
import type { MiddlewareHandler } from "hono";
import { readJson } from "../src/validation/json-text.ts";
import type { Vars } from "./app-types.ts";
import { Refused } from "./errors.ts";

const BODY_LIMIT_BYTES = 256 * 1024;
const BATCH_LIMIT_BYTES = 8 * 1024 * 1024;

/** Whole paths: an agent or a lock may be called `results`. */
const BATCH_PATH = /^\/v1\/clusters\/[^/]+\/(?:tasks\/batch|results|groups\/[^/]+\/heartbeats)$/;

export const SEND_JSON = "send Content-Type: application/json";
const JSON_TYPE = /^application\/json\s*(;|$)/i;
/** RFC 7396, for those who send a `PATCH` by its name. */
const MERGE_PATCH_TYPE = /^application\/merge-patch\+json\s*(;|$)/i;

/**
 * Who is still sending does not listen, and sees a broken connection in place of the refusal: so much is taken
 * and thrown away before the answer.
 */
const DRAIN_LIMIT_BYTES = 4 * BATCH_LIMIT_BYTES;

export const limitBody: MiddlewareHandler<Vars> = async (c, next) => {
  const limitBytes = BATCH_PATH.test(c.req.path) ? BATCH_LIMIT_BYTES : BODY_LIMIT_BYTES;
  const { body, headers, method, url } = c.req.raw;
  const isMeasured = headers.has("Content-Length") && !headers.has("Transfer-Encoding");
  if (body === null || (isMeasured && Number(headers.get("Content-Length")) <= limitBytes)) return next();
  const taken = await take(body, limitBytes);
  if (taken === null) {
    throw new Refused({
      code: "payload_too_large",
      detail: `this route takes at most ${limitBytes / 1024} KB`,
    });
  }
  c.req.raw = new Request(url, { method, headers, body: taken });
  return next();
};

/** The whole of a body, or null if it is larger than that. */
async function take(body: ReadableStream<Uint8Array>, limitBytes: number): Promise<Blob | null> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes <= limitBytes) chunks.push(chunk);
    else if (sizeBytes > DRAIN_LIMIT_BYTES) return null;
    else chunks.length = 0;
  }
  return sizeBytes <= limitBytes ? new Blob(chunks) : null;
}

export const checkBody: MiddlewareHandler<Vars> = async (c, next) => {
  if (c.req.method === "GET" || c.req.method === "HEAD") return next();
  if (!["", "identity"].includes(c.req.header("Content-Encoding") ?? "")) {
    throw new Refused({ code: "unsupported_media_type", detail: "send the body without Content-Encoding" });
  }
  const text = utf8(await c.req.arrayBuffer());
  if (text === null) throw new Refused({ code: "invalid_request", detail: "the body is not valid UTF-8" });
  if (text.length > 0) {
    if (!isTypeOfJson(c.req.method, c.req.header("Content-Type") ?? "")) {
      throw new Refused({ code: "unsupported_media_type", detail: SEND_JSON });
    }
    const read = readJson(text);
    if (!read.ok) throw new Refused({ code: "invalid_request", detail: `the body ${read.flaw}` });
  }
  return next();
};

function isTypeOfJson(method: string, contentType: string): boolean {
  return JSON_TYPE.test(contentType) || (method === "PATCH" && MERGE_PATCH_TYPE.test(contentType));
}

function utf8(bytes: ArrayBuffer): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    return null;
  }
}
