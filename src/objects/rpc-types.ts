/** The methods that the platform calls. */
type Handler = "fetch" | "alarm" | "webSocketMessage" | "webSocketClose" | "webSocketError";

/**
 * An object as its callers see it. Its answers are plain data, so its methods are the same, but asynchronous. (The
 * platform's own type of a stub maps every answer, too deep for JSON.)
 */
export type Remote<Methods> = {
  [Method in Exclude<keyof Methods, Handler>]: Methods[Method] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
} & { fetch(url: string, init: RequestInit): Promise<Response> };
