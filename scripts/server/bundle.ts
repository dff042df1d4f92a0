/**
 * The bundle of the Worker: a folder with its modules, which wrangler writes, and `bundle.json` with the facts from
 * `wrangler.toml` that workerd needs. Serving a bundle needs no wrangler.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, extname, join, matchesGlob } from "node:path";
import { done, type Outcome, refuse } from "./outcome.ts";
import type { ModuleType } from "./workerd-config.ts";
import { WRANGLER_SCRIPT, wranglerEnvironment } from "./wrangler.ts";

export type BundleFacts = {
  compatibility_date: string;
  compatibility_flags: string[];
  durable_objects: { binding: string; class_name: string }[];
  /** The main module first. */
  modules: { name: string; type: ModuleType }[];
};
export type Bundle = BundleFacts & { dir: string };

/** The part of wrangler's configuration that is read here. Its own type is in a package that wrangler does not install. */
type WranglerConfig = {
  compatibility_date?: string;
  compatibility_flags: string[];
  main?: string;
  durable_objects: { bindings: { name: string; class_name: string }[] };
  rules: { type: string; globs: string[] }[];
};

const FACTS_FILE = "bundle.json";
/** Files in the folder that are not modules. */
const NO_MODULES = ["README.md", FACTS_FILE];
const MODULE_TYPES: Readonly<Record<string, ModuleType>> = {
  ESModule: "esModule",
  Text: "text",
  Data: "data",
  CompiledWasm: "wasm",
};
/** The rules that wrangler follows besides those in `wrangler.toml`. */
const WRANGLER_RULES = [
  { type: "Text", globs: ["**/*.txt", "**/*.html", "**/*.sql"] },
  { type: "Data", globs: ["**/*.bin"] },
  { type: "CompiledWasm", globs: ["**/*.wasm"] },
];

/** Bundles the project at `root` into `dir`, which it empties first. */
export async function buildBundle(root: string, dir: string, logDir: string): Promise<Outcome<Bundle>> {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  // Loading wrangler to read its configuration takes half as long as a build, so both run at the same time.
  const [build, facts] = await Promise.all([runBuild(root, dir, logDir), readWranglerFacts(root)]);
  if (!build.ok) return build;

  const modules = moduleList(dir, facts.main, facts.rules);
  if (!modules.ok) return modules;
  const bundle: BundleFacts = { ...facts.kept, modules: modules.value };
  writeFileSync(join(dir, FACTS_FILE), `${JSON.stringify(bundle, null, 2)}\n`);
  return done({ ...bundle, dir });
}

/** A bundle that was built before. */
export function openBundle(dir: string): Outcome<Bundle> {
  try {
    const facts: unknown = JSON.parse(readFileSync(join(dir, FACTS_FILE), "utf8"));
    if (isFacts(facts)) return done({ ...facts, dir });
  } catch {
    // A missing file and a broken one have the same refusal below.
  }
  return refuse("badSettings", `BUNDLE_DIR: ${dir} contains no bundle; unset BUNDLE_DIR to build one`);
}

function runBuild(root: string, dir: string, logDir: string): Promise<Outcome<void>> {
  const words = ["deploy", "--dry-run", "--outdir", dir, "--config", join(root, "wrangler.toml")];
  const build = spawn(process.execPath, [WRANGLER_SCRIPT, ...words], {
    cwd: root,
    env: wranglerEnvironment(process.env, logDir),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [build.stdout, build.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  }
  return new Promise((resolve, reject) => {
    build.once("error", reject);
    build.once("close", (code) => {
      if (code === 0) resolve(done(undefined));
      else
        resolve(
          refuse("failed", output.trim(), "the Worker could not be built; see the output of wrangler above"),
        );
    });
  });
}

async function readWranglerFacts(root: string) {
  const { unstable_readConfig: readConfig } = await import("wrangler");
  const config: WranglerConfig = readConfig({ config: join(root, "wrangler.toml") }, { hideWarnings: true });
  if (config.compatibility_date === undefined || config.main === undefined) {
    throw new Error("wrangler.toml must have compatibility_date and main");
  }
  return {
    kept: {
      compatibility_date: config.compatibility_date,
      compatibility_flags: config.compatibility_flags,
      durable_objects: config.durable_objects.bindings.map(({ name, class_name }) => ({
        binding: name,
        class_name,
      })),
    },
    main: `${basename(config.main, extname(config.main))}.js`,
    rules: [...config.rules, ...WRANGLER_RULES],
  };
}

function moduleList(
  dir: string,
  main: string,
  rules: readonly { type: string; globs: readonly string[] }[],
): Outcome<BundleFacts["modules"]> {
  const modules: BundleFacts["modules"] = [{ name: main, type: "esModule" }];
  for (const name of readdirSync(dir)) {
    if (name === main || NO_MODULES.includes(name) || name.endsWith(".map")) continue;
    const type = moduleType(withoutHash(name), rules);
    if (type === null)
      return refuse(
        "failed",
        `the bundle contains ${name}, and no rule in wrangler.toml gives its type; add one`,
      );
    modules.push({ name, type });
  }
  return done(modules);
}

function moduleType(
  name: string,
  rules: readonly { type: string; globs: readonly string[] }[],
): ModuleType | null {
  const rule = rules.find(({ globs }) => globs.some((glob) => matchesGlob(name, glob)));
  return rule === undefined ? null : (MODULE_TYPES[rule.type] ?? null);
}

/** The name of the source file of a module: wrangler adds the hash of its content in front. */
export const withoutHash = (moduleName: string): string => moduleName.replace(/^[0-9a-f]{40}-/, "");

function isFacts(value: unknown): value is BundleFacts {
  if (typeof value !== "object" || value === null) return false;
  const facts = value as Partial<Record<keyof BundleFacts, unknown>>;
  return (
    typeof facts.compatibility_date === "string" &&
    Array.isArray(facts.compatibility_flags) &&
    Array.isArray(facts.durable_objects) &&
    Array.isArray(facts.modules)
  );
}
