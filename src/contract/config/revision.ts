/** What changed in the configuration, one item for each change. */
import * as z from "zod";
import { Instant, JsonValue, pageOf } from "../common.ts";

/** `call`: by `PUT` or `PATCH`. `file`: the server started with another configuration file. */
export const REVISION_SOURCES = ["call", "file"] as const;

export const ConfigRevision = z
  .object({
    at: Instant,
    version: z.int().meta({ description: "The `config_version` of the status since then." }),
    source: z.enum(REVISION_SOURCES).meta({
      description: "`call`: a call changed it. `file`: the server started with another configuration file.",
    }),
    changes: z
      .array(
        z.object({
          key: z.string().meta({ description: "The path of the key, with dots." }),
          from: JsonValue,
          to: JsonValue,
        }),
      )
      .meta({ description: "Secrets are redacted, so that both values may be the same." }),
  })
  .meta({ id: "ConfigRevision" });
export type ConfigRevision = z.infer<typeof ConfigRevision>;

export const ConfigRevisionPage = pageOf(ConfigRevision);
