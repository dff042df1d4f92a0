/**
 * Builds the TypeScript client into `client/dist`: the library and the command as one module each, and the type
 * declarations. `npm pack` and `npm publish` in `client/` run it. By hand: `node scripts/client-build.ts [DIR]`.
 */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { declarations } from "./client/declarations.ts";

const ROOT = join(import.meta.dirname, "..");
const CLIENT = join(ROOT, "client");

export async function buildClient(dir: string): Promise<void> {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const { version } = JSON.parse(readFileSync(join(CLIENT, "package.json"), "utf8")) as { version: string };
  const options = {
    bundle: true,
    minify: true,
    format: "esm",
    // Node 22 and older browsers support this.
    target: "es2022",
    legalComments: "none",
    logLevel: "warning",
  } as const;
  await build({
    ...options,
    entryPoints: [join(CLIENT, "src", "index.ts")],
    outfile: join(dir, "index.js"),
    // Node prints the line that throws an uncaught error. (The command catches its errors.)
    lineLimit: 300,
  });
  await build({
    ...options,
    entryPoints: [join(CLIENT, "src", "cli.ts")],
    outfile: join(dir, "cli.js"),
    platform: "node",
    // The command imports the library, which is in the same package.
    plugins: [
      {
        name: "library",
        setup: ({ onResolve }) =>
          onResolve({ filter: /\/index\.ts$/ }, () => ({ path: "./index.js", external: true })),
      },
    ],
    define: { CLIENT_VERSION: JSON.stringify(version) },
  });
  chmodSync(join(dir, "cli.js"), 0o755);
  writeFileSync(join(dir, "index.d.ts"), declarations());
  copyFileSync(join(ROOT, "LICENSE"), join(CLIENT, "LICENSE"));
}

if (import.meta.main) await buildClient(process.argv[2] ?? join(CLIENT, "dist"));
