/**
 * Modules without types of their own. Of Node's modules, which the platform has with `nodejs_compat`, only the parts in use
 * are declared: the whole of `@types/node` would also declare timers and globals that the platform does not have.
 */
declare module "node:stream" {
  export class Duplex {
    readonly destroyed: boolean;
    on(event: "error", listener: (error: Error) => void): this;
    push(chunk: Uint8Array | string | null): boolean;
    destroy(error?: Error): this;
    _read(size: number): void;
    _write(chunk: Uint8Array, encoding: string, done: (error?: Error | null) => void): void;
    _destroy(error: Error | null, done: (error?: Error | null) => void): void;
  }
}

declare module "node:events" {
  export class EventEmitter {
    on(event: "error", listener: (error: Error) => void): this;
  }
}

/** The configuration file is bundled as text, so that it may have comments (see wrangler.toml). */
declare module "*/distributed_config.json" {
  const text: string;
  export default text;
}
