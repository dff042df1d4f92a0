/** `npm run dev`: serves the Worker with `wrangler dev`, which rebuilds it at each change. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { done } from "./server/outcome.ts";
import { writePrivateFile } from "./server/private-file.ts";
import { serve } from "./server/serve.ts";
import { variablesFile } from "./server/worker-variables.ts";
import { WRANGLER_SCRIPT, wranglerEnvironment } from "./server/wrangler.ts";

await serve("dev", async (plan) => {
  const { folder } = plan;
  const variables = variablesFile(plan.variables);
  if (!variables.ok) return variables;
  // A private file: every user of the machine can read a command line.
  const variablesPath = join(folder, "dev.env");
  writePrivateFile(variablesPath, variables.value);
  process.once("exit", () => rmSync(variablesPath, { force: true }));

  const flags = {
    "--config": join(plan.root, "wrangler.toml"),
    "--env-file": variablesPath,
    "--persist-to": folder,
    "--ip": plan.address,
    "--port": String(plan.port),
    "--show-interactive-dev-session": "false",
  };
  return done({
    name: "wrangler",
    file: process.execPath,
    words: [WRANGLER_SCRIPT, "dev", "--local", ...Object.entries(flags).flat()],
    env: {
      ...wranglerEnvironment(process.env, join(folder, "logs")),
      // Servers in development find each other here by name, and these all have the same name.
      WRANGLER_REGISTRY_PATH: join(folder, "registry"),
    },
    hasChildren: true,
  });
});
