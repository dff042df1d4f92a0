/** What the platform calls. */
type Handler = "fetch" | "alarm" | "webSocketMessage" | "webSocketClose" | "webSocketError";

/**
 * An object as its callers see it: what it answers is plain data, so its methods are simply
 * asynchronous. (The platform's own type of a stub maps every answer, too deep for JSON.)
 */
export type Remote<Shell> = {
  [Method in Exclude<keyof Shell, Handler>]: Shell[Method] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
} & { fetch(url: string, init: RequestInit): Promise<Response> };
