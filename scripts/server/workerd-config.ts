/**
 * The configuration of workerd, as Cap'n Proto text, from what the Worker and the operator want.
 * Pure. It holds no secret: bindings are taken from workerd's environment when it starts.
 */

export type ModuleType = "esModule" | "text" | "data" | "wasm";

export type WorkerdOptions = {
  /** `host:port`, IPv6 in brackets. */
  listenOn: string;
  compatibilityDate: string;
  compatibilityFlags: readonly string[];
  /** The first is the main one. `file` is absolute; workerd must be given `--import-path /`. */
  modules: readonly { name: string; type: ModuleType; file: string }[];
  durableObjects: readonly { binding: string; className: string }[];
  /** Names of environment variables that become text bindings of the same name. */
  variables: readonly string[];
  /** Absolute; must exist. */
  storageDir: string;
  allowLocalTargets: boolean;
  /** One certificate each: of a chain, workerd would trust only the first. */
  trustedCertificates: readonly string[];
};

/**
 * Objects are found on disk by these keys: another key is another, empty namespace. Hence the class
 * alone, which Cloudflare's migrations name too, and nothing that may change with taste.
 */
const uniqueKey = (className: string) => className;

export function workerdConfig(options: WorkerdOptions): string {
  const modules = options.modules.map(
    ({ name, type, file }) => `(name = ${text(name)}, ${type} = embed ${text(file)})`,
  );
  const bindings = [
    ...options.durableObjects.map(
      ({ binding, className }) => `(name = ${text(binding)}, durableObjectNamespace = ${text(className)})`,
    ),
    ...options.variables.map((name) => `(name = ${text(name)}, fromEnvironment = ${text(name)})`),
  ];
  // Pinned in memory: then a start of an object is a start of the process, and silence is its agents' own.
  const namespaces = options.durableObjects.map(
    ({ className }) =>
      `(className = ${text(className)}, uniqueKey = ${text(uniqueKey(className))}, preventEviction = true, enableSql = true)`,
  );
  // "private" holds "local"; both are named because both are meant.
  const allow = options.allowLocalTargets ? ["public", "private", "local"] : ["public"];

  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (
      name = "worker",
      worker = (
        compatibilityDate = ${text(options.compatibilityDate)},
        compatibilityFlags = [${options.compatibilityFlags.map(text).join(", ")}],
        modules = ${list(modules)},
        bindings = ${list(bindings)},
        durableObjectNamespaces = ${list(namespaces)},
        durableObjectStorage = (localDisk = "storage"),
        globalOutbound = "outbound"
      )
    ),
    (
      name = "outbound",
      network = (
        allow = [${allow.map(text).join(", ")}],
        tlsOptions = (
          trustBrowserCas = true,
          trustedCertificates = [${options.trustedCertificates.map(text).join(", ")}]
        )
      )
    ),
    (name = "storage", disk = (path = ${text(options.storageDir)}, writable = true))
  ],
  sockets = [(name = "http", address = ${text(options.listenOn)}, http = (), service = "worker")]
);
`;
}

const list = (items: readonly string[]) =>
  items.length === 0 ? "[]" : `[\n          ${items.join(",\n          ")}\n        ]`;

/** A Cap'n Proto string: bytes of UTF-8 stand for themselves, only these must be escaped. */
function text(value: string): string {
  const escaped = value.replace(/["\\]/g, "\\$&").replace(/\p{Cc}/gu, (character) => {
    if (character === "\n") return "\\n";
    const bytes = Buffer.from(character, "utf8");
    return [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  });
  return `"${escaped}"`;
}
