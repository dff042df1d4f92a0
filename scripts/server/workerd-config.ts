/**
 * Writes the configuration of workerd as Cap'n Proto text. The text contains no secret: workerd takes the bindings from
 * its environment.
 */

export type ModuleType = "esModule" | "text" | "data" | "wasm";

export type WorkerdOptions = {
  /** `host:port`, IPv6 in brackets. */
  listenOn: string;
  compatibilityDate: string;
  compatibilityFlags: readonly string[];
  /** The main module first. `file` is an absolute path, for which workerd needs `--import-path /`. */
  modules: readonly { name: string; type: ModuleType; file: string }[];
  durableObjects: readonly { binding: string; className: string }[];
  /** Names of environment variables that become text bindings of the same name. */
  variables: readonly string[];
  /** Absolute; must exist. */
  storageDir: string;
  allowLocalTargets: boolean;
  /** One certificate in each text: workerd trusts only the first of a chain. */
  trustedCertificates: readonly string[];
};

/**
 * workerd stores objects under this key, and another key is an empty namespace. So the key is the class name, which
 * must not change because the migrations on Cloudflare name it too.
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
  // Objects stay in memory: then an object starts only with the process, and only agents cause a silence.
  const namespaces = options.durableObjects.map(
    ({ className }) =>
      `(className = ${text(className)}, uniqueKey = ${text(uniqueKey(className))}, preventEviction = true, enableSql = true)`,
  );
  // "private" includes "local"; the list names both to be clear.
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

/** A Cap'n Proto string in UTF-8, with quotes, backslashes and control characters escaped. */
function text(value: string): string {
  const escaped = value.replace(/["\\]/g, "\\$&").replace(/\p{Cc}/gu, (character) => {
    if (character === "\n") return "\\n";
    const bytes = Buffer.from(character, "utf8");
    return [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  });
  return `"${escaped}"`;
}
