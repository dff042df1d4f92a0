/** The overrides of a cluster over the file, and how PUT and PATCH change them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Config, defaultConfig } from "../../../../src/contract/config.ts";
import {
  type ConfigChange,
  effectiveConfig,
  patchConfig,
  replaceConfig,
} from "../../../../src/validation/configuration/config-changes.ts";
import {
  type Json,
  type JsonObject,
  mergePatch,
} from "../../../../src/validation/configuration/merge-patch.ts";
import {
  applyOverrides,
  differenceFrom,
  patchOverrides,
} from "../../../../src/validation/configuration/overrides.ts";
import { cases } from "../../../support/cases.ts";
import { configPaths, configuration } from "../../../support/configurations.ts";

const RUNS = cases(100, 300);

const key = fc.constantFrom("a", "b", "c", "constructor", "toString", "a.b", "");
const json = fc.letrec<{ value: Json; object: JsonObject }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<Json>(null, 0, 1, "x", "", true, [], [1, null]),
    fc.array(tie("value"), { maxLength: 2 }),
    tie("object"),
  ),
  object: fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }),
}));

const changed = (change: ConfigChange) => {
  if (!change.ok) throw new Error(JSON.stringify(change.errors));
  return change;
};

const errorPaths = (change: ConfigChange) => (change.ok ? [] : change.errors.map(({ path }) => path));

const file = Config.parse({
  failover_config: { backup_agents: { agent1: "agent2", agent3: ["agent4"] } },
  heartbeat_config: { interval_seconds: 2 },
  task_config: { default_timeout_seconds: 60 },
});

describe("merge patch", () => {
  it.each<[Json, Json, Json]>([
    // The examples of RFC 7396, appendix A.
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ a: "foo" }, "bar", "bar"],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])("of %j with %j is %j", (target, patch, result) => {
    expect(mergePatch(target, patch)).toEqual(result);
  });

  it("changes neither argument and never a prototype", () => {
    const target = { a: { b: 1 } };
    const patch = JSON.parse('{"a": {"__proto__": {"polluted": 1}, "c": 2}, "__proto__": {"polluted": 1}}');
    const merged = mergePatch(target, patch);
    expect(merged).toEqual({ a: { b: 1, c: 2 } });
    expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
    expect(target).toEqual({ a: { b: 1 } });
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });
});

describe("overrides", () => {
  it("turn the base into the wanted value, for any two JSON values", () => {
    fc.assert(
      fc.property(json.value, json.value, (base, wanted) => {
        expect(applyOverrides(base, differenceFrom(base, wanted))).toEqual(wanted);
      }),
      cases(300, 1000),
    );
  });

  it("turn a file into any configuration, also after they were stored as JSON", () => {
    fc.assert(
      fc.property(configuration, configuration, (base, wanted) => {
        const stored = JSON.parse(JSON.stringify(differenceFrom(base, wanted)));
        expect(applyOverrides(base, stored)).toEqual(wanted);
      }),
      RUNS,
    );
  });

  it("are as few as possible: none without a difference, and none that could be left out", () => {
    fc.assert(
      fc.property(configuration, configuration, (base, wanted) => {
        expect(differenceFrom(base, base)).toEqual([]);
        const overrides = differenceFrom(base, wanted);
        for (const left of overrides) {
          expect(
            applyOverrides(
              base,
              overrides.filter((one) => one !== left),
            ),
          ).not.toEqual(wanted);
        }
      }),
      RUNS,
    );
  });

  it("follow the file in every key that they do not name", () => {
    fc.assert(
      fc.property(configuration, configuration, configuration, (base, wanted, later) => {
        const overrides = differenceFrom(base, wanted);
        const result = applyOverrides(later, overrides);
        const touched = new Set(overrides.map(({ path }) => path.slice(0, 2).join("/")));
        for (const [section, name] of configPaths) {
          if (name === undefined || touched.has(`${section}/${name}`)) continue;
          expect(result).toHaveProperty([section, name], Reflect.get(Reflect.get(later, section), name));
        }
      }),
      RUNS,
    );
  });

  it("can set null where null is a value, and remove an entry of the file", () => {
    const wanted = Config.parse({
      ...file,
      failover_config: { backup_agents: { agent1: "agent2" } },
      task_config: {},
    });
    expect(differenceFrom(file, wanted)).toEqual([
      { path: ["failover_config", "backup_agents", "agent3"], gone: true },
      { path: ["task_config", "default_timeout_seconds"], value: null },
    ]);
  });

  it("never change a prototype", () => {
    const overrides = [
      { path: ["__proto__", "polluted"], value: 1 },
      { path: ["constructor", "prototype", "polluted"], value: 1 },
    ];
    expect(applyOverrides({}, overrides)).toEqual({ constructor: { prototype: { polluted: 1 } } });
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  it("that no longer fit a changed file are reported as invalid", () => {
    const overrides = differenceFrom(
      defaultConfig(),
      Config.parse({ heartbeat_config: { interval_seconds: 25 } }),
    );
    const later = Config.parse({ heartbeat_config: { timeout_seconds: 20 } });
    expect(effectiveConfig(defaultConfig(), overrides).ok).toBe(true);
    expect(effectiveConfig(later, overrides).ok).toBe(false);
  });
});

describe("a patch", () => {
  it("without null changes the configuration in force as in RFC 7396", () => {
    fc.assert(
      fc.property(configuration, configuration, configuration, (base, now, patch) => {
        const overrides = patchOverrides(base, differenceFrom(base, now), withoutNulls(patch));
        expect(applyOverrides(base, overrides)).toEqual(mergePatch(now, withoutNulls(patch)));
      }),
      RUNS,
    );
  });

  it("with null for any key or section restores it from the file and changes nothing else", () => {
    fc.assert(
      fc.property(
        configuration,
        configuration,
        fc.constantFrom(...configPaths),
        (base, now, [section, name]) => {
          const patch = { [section]: name === undefined ? null : { [name]: null } };
          const result = applyOverrides(base, patchOverrides(base, differenceFrom(base, now), patch));
          const inFile: object = Reflect.get(base, section);
          const expected =
            name === undefined ? inFile : { ...Reflect.get(now, section), [name]: Reflect.get(inFile, name) };
          expect(result).toEqual({ ...now, [section]: expected });
        },
      ),
      RUNS,
    );
  });

  it("with null for everything leaves no override", () => {
    fc.assert(
      fc.property(configuration, configuration, (base, now) => {
        const patch = Object.fromEntries(Object.keys(now).map((section) => [section, null]));
        expect(patchOverrides(base, differenceFrom(base, now), patch)).toEqual([]);
      }),
      RUNS,
    );
  });

  it("with null for an entry of a map restores it from the file, or removes it", () => {
    const first = changed(
      patchConfig(file, [], { failover_config: { backup_agents: { agent1: "agent9", agent7: "agent8" } } }),
    );
    expect(first.config.failover_config.backup_agents).toEqual({
      agent1: "agent9",
      agent3: ["agent4"],
      agent7: "agent8",
    });
    const second = changed(
      patchConfig(file, first.overrides, {
        failover_config: { backup_agents: { agent1: null, agent7: null } },
      }),
    );
    expect(second.config).toEqual(file);
    expect(second.overrides).toEqual([]);
  });

  it("with null restores a key from the file, also where null is a value", () => {
    const first = changed(patchConfig(file, [], { task_config: { default_timeout_seconds: 5 } }));
    const second = changed(
      patchConfig(file, first.overrides, { task_config: { default_timeout_seconds: null } }),
    );
    expect(second.config.task_config.default_timeout_seconds).toBe(60);
  });

  it("with one weight changes that weight, and leaves the others as they were", () => {
    const first = changed(patchConfig(file, [], { failover_config: { weights: { high: { load: 2 } } } }));
    expect(first.config.failover_config.weights.high).toEqual({
      reliability: null,
      capability: null,
      load: 2,
      performance: null,
    });
    const second = changed(
      patchConfig(file, first.overrides, { failover_config: { weights: { high: { reliability: 1 } } } }),
    );
    expect(second.config.failover_config.weights.high).toMatchObject({ reliability: 1, load: 2 });
  });

  it("is refused as a whole if the resulting configuration is not valid", () => {
    expect(errorPaths(patchConfig(file, [], { heartbeat_config: { interval_seconds: 50 } }))).toEqual([
      "heartbeat_config.timeout_seconds",
    ]);
  });

  it.each([
    [{ failover_config: { enabeld: null } }, "failover_config.enabeld"],
    [{ failovr_config: null }, "failovr_config"],
    [{ failover_config: { task_priority_levels: { hi: null } } }, "failover_config.task_priority_levels.hi"],
    [
      JSON.parse('{"failover_config": {"backup_agents": {"__proto__": null}}}'),
      "failover_config.backup_agents.__proto__",
    ],
    [null, ""],
    [[], ""],
    ["text", ""],
    [undefined, ""],
  ])("that is %j is refused, since the key is unknown or it is no patch", (body, path) => {
    expect(errorPaths(patchConfig(file, [], body))).toEqual([path]);
    expect(errorPaths(replaceConfig(file, [], body))).toEqual([path]);
  });

  it("of any depth is refused without recursion", () => {
    const deep = JSON.parse(`{"failover_config":${'{"a":'.repeat(5000)}1${"}".repeat(5001)}`);
    expect(errorPaths(patchConfig(file, [], deep))).toHaveLength(1);
  });
});

describe("a replacement", () => {
  it("with the whole configuration replaces any earlier one", () => {
    fc.assert(
      fc.property(configuration, configuration, configuration, (base, before, wanted) => {
        // A null goes back to the file, so only a file that says null there can be asked for null.
        const reachable = mergeNullsFrom(base, wanted);
        const change = changed(replaceConfig(base, differenceFrom(base, before), reachable));
        expect(change.config).toEqual(reachable);
        expect(applyOverrides(base, change.overrides)).toEqual(reachable);
      }),
      RUNS,
    );
  });

  it("that is empty leaves no override", () => {
    const { overrides } = changed(patchConfig(file, [], { heartbeat_config: { timeout_seconds: 99 } }));
    expect(overrides).toHaveLength(1);
    const emptied = changed(replaceConfig(file, overrides, {}));
    expect(emptied.overrides).toEqual([]);
    expect(emptied.config).toEqual(file);
  });

  it("replaces a whole map, and restores an entry with null from the file", () => {
    const change = changed(
      replaceConfig(file, [], {
        failover_config: { backup_agents: { agent3: null, agent5: "agent6", agent9: null } },
      }),
    );
    expect(change.config.failover_config.backup_agents).toEqual({ agent3: ["agent4"], agent5: "agent6" });
  });

  it("takes keys that a section leaves out from the file", () => {
    const change = changed(replaceConfig(file, [], { heartbeat_config: { timeout_seconds: 99 } }));
    expect(change.config.heartbeat_config).toEqual({
      interval_seconds: 2,
      timeout_seconds: 99,
      reconnect_grace_seconds: 5,
    });
  });
});

function withoutNulls(value: Json): Json {
  if (Array.isArray(value) || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, entry]) => (entry === null ? [] : [[name, withoutNulls(entry)]])),
  );
}

function mergeNullsFrom(base: Config, wanted: Config): Config {
  const weights = wanted.failover_config.weights;
  const inFile = base.failover_config.weights;
  return {
    ...wanted,
    failover_config: {
      ...wanted.failover_config,
      weights: {
        high: weights.high ?? inFile.high,
        medium: weights.medium ?? inFile.medium,
        low: weights.low ?? inFile.low,
      },
    },
    task_config: {
      ...wanted.task_config,
      default_timeout_seconds:
        wanted.task_config.default_timeout_seconds ?? base.task_config.default_timeout_seconds,
      default_start_timeout_seconds:
        wanted.task_config.default_start_timeout_seconds ?? base.task_config.default_start_timeout_seconds,
    },
  };
}
