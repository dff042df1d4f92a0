/** The record of changes of the configuration. No secret is stored in it. */
import type { Page } from "../../../contract/common.ts";
import type { ConfigRevision } from "../../../contract/config/revision.ts";
import type { Config } from "../../../contract/config.ts";
import { instant } from "../../../contract/instant.ts";
import { numberCursor, numberOf, pageOf } from "../../../storage/page.ts";
import { changedKeys, valueAt } from "../../../validation/configuration/changed-keys.ts";
import type { Json } from "../../../validation/configuration/merge-patch.ts";
import { redactConfig } from "../../../validation/configuration/secrets.ts";
import type { ClusterContext } from "../cluster-context.ts";

/** The redacted configuration that the last instance used: another file is noticed by it. */
const SHOWN = "config_shown";

type Needs = Pick<ClusterContext, "configRevisions" | "meta" | "settings" | "unit">;

export class ConfigHistory {
  readonly #context: Needs;

  constructor(context: Needs) {
    this.#context = context;
  }

  /** A call has changed the configuration. @returns the keys that changed */
  recordCall(before: Config, nowMs: number): string[] {
    const after = this.#context.settings.config;
    const paths = changedKeys(before as Json, after as Json);
    return this.#record("call", { paths, before: redactConfig(before) as Json }, nowMs);
  }

  /** The object starts with another configuration than it had. The first one is no change. */
  recordFile(nowMs: number): void {
    const shown = this.#context.meta.read(SHOWN);
    const before = JSON.parse(shown ?? "null") as Json;
    const paths = changedKeys(before, redactConfig(this.#context.settings.config) as Json);
    if (shown === null) this.#keep();
    else this.#record("file", { paths, before }, nowMs);
  }

  /** Newest first. */
  list(limit: number, cursor: string | null): Page<ConfigRevision> {
    return this.#context.unit.read(() => {
      const found = this.#context.configRevisions.list(numberOf(cursor), limit);
      return pageOf(found, ({ revision }) => revision, numberCursor);
    });
  }

  #record(
    source: ConfigRevision["source"],
    { paths, before }: { paths: string[][]; before: Json },
    nowMs: number,
  ): string[] {
    const after = this.#keep();
    const changes = paths.map((path) => ({
      key: path.join("."),
      from: valueAt(before, path) as ConfigRevision["changes"][number]["from"],
      to: valueAt(after, path) as ConfigRevision["changes"][number]["to"],
    }));
    const { version } = this.#context.settings;
    if (changes.length > 0)
      this.#context.configRevisions.insert({ at: instant(nowMs), version, source, changes });
    return changes.map(({ key }) => key);
  }

  #keep(): Json {
    const shown = redactConfig(this.#context.settings.config) as Json;
    this.#context.meta.write(SHOWN, JSON.stringify(shown));
    return shown;
  }
}
