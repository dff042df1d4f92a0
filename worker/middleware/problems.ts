/** Answers every request that fails or has no route with a problem. */
import type { App } from "../context.ts";
import { problemResponse, Refused } from "../errors.ts";

export function answerProblems(app: App): void {
  app.notFound((c) => {
    const methods = allowedMethods(app, c.req.path);
    if (methods.length === 0) {
      const detail = "there is no such route; GET /openapi.json lists every route";
      return problemResponse(c, { code: "not_found", detail });
    }
    const allowed = methods.join(", ");
    c.header("Allow", allowed);
    const detail = `this path does not have the method of the request; use ${allowed}`;
    return problemResponse(c, { code: "method_not_allowed", detail });
  });

  app.onError((error, c) => {
    if (error instanceof Refused) return problemResponse(c, error.problem);
    console.error(
      JSON.stringify({
        level: "error",
        event: "request_failed",
        request_id: c.get("requestId"),
        error: String(error),
      }),
    );
    // The platform marks errors of an object that is overloaded or was restarted like this.
    const isTemporary = "overloaded" in error || "retryable" in error;
    return isTemporary
      ? problemResponse(c, {
          code: "unavailable",
          detail: "the service is busy or restarting; send the request again in a moment",
        })
      : problemResponse(c, {
          code: "internal",
          detail: "the request failed because of an error in the service; its log has the request id",
        });
  });
}

/** The methods that some route serves at this path, in alphabetical order. */
function allowedMethods(app: App, path: string): string[] {
  const methods = app.routes
    .filter((route) => route.method !== "ALL" && patternOf(route.path).test(path))
    .map((route) => route.method);
  return [...new Set(methods)].sort();
}

const patterns = new Map<string, RegExp>();

function patternOf(path: string): RegExp {
  let pattern = patterns.get(path);
  if (pattern === undefined) {
    const source = path.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/:[A-Za-z]+/g, "[^/]+");
    pattern = new RegExp(`^${source}$`);
    patterns.set(path, pattern);
  }
  return pattern;
}
