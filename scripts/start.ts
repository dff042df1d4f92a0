/** `npm start`: builds the Worker and serves it on this machine under workerd, with its state on disk. */
import { join } from "node:path";
import { authority } from "./server/address.ts";
import { type Bundle, buildBundle, openBundle, withoutHash } from "./server/bundle.ts";
import { CONFIGURATION_FILE } from "./server/configuration-file.ts";
import { checkDataVersion } from "./server/data-version.ts";
import { done } from "./server/outcome.ts";
import { makePrivateFolder, writePrivateFile } from "./server/private-file.ts";
import { serve } from "./server/serve.ts";
import type { Plan } from "./server/start-plan.ts";
import { workerdConfig } from "./server/workerd-config.ts";
import { workerdBinary } from "./server/wrangler.ts";

await serve("start", async (plan) => {
  const { folder: dataDir, settings } = plan;
  const { bundleDir } = settings;
  // A bundle that was built before may be of another version.
  const readable = bundleDir === null ? checkDataVersion(dataDir) : done(undefined);
  if (!readable.ok) return readable;
  // The data folder is locked, so two starts never build into the same folder.
  const bundle =
    bundleDir === null
      ? await buildBundle(plan.root, join(dataDir, "build"), join(dataDir, "logs"))
      : openBundle(bundleDir);
  if (!bundle.ok) return bundle;

  const storageDir = join(dataDir, "do");
  makePrivateFolder(storageDir);
  const configPath = join(dataDir, "workerd.capnp");
  writePrivateFile(configPath, configOf(plan, bundle.value, storageDir));
  return done({
    name: "workerd",
    file: workerdBinary(),
    words: ["serve", configPath, "--import-path", "/", "--experimental"],
    env: { ...process.env, ...plan.variables },
    hasChildren: false,
  });
});

function configOf(plan: Plan, bundle: Bundle, storageDir: string): string {
  return workerdConfig({
    listenOn: authority(plan.address, plan.port),
    compatibilityDate: bundle.compatibility_date,
    compatibilityFlags: bundle.compatibility_flags,
    modules: bundle.modules.map(({ name, type }) => ({
      name,
      type,
      // The file and not its copy in the bundle, so that a change needs only a restart.
      file: withoutHash(name) === CONFIGURATION_FILE ? plan.configurationFile : join(bundle.dir, name),
    })),
    durableObjects: bundle.durable_objects.map(({ binding, class_name }) => ({
      binding,
      className: class_name,
    })),
    variables: Object.keys(plan.variables),
    storageDir,
    allowLocalTargets: plan.settings.allowLocalTargets,
    trustedCertificates: plan.trustedCertificates,
  });
}
