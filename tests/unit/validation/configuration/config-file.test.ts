/** What may be configured: the file, the schema's defaults and bounds, and what is said about mistakes. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { configTables, withConfigTables } from "../../../../scripts/config-table.ts";
import { Config, ConfigChangeBody, defaultConfig } from "../../../../src/contract/config.ts";
import { patchConfig } from "../../../../src/validation/configuration/config-changes.ts";
import { validateConfig } from "../../../../src/validation/configuration/config-check.ts";
import { parseConfigFile } from "../../../../src/validation/configuration/config-file.ts";
import { nearestKey, shownKey } from "../../../../src/validation/nearest-key.ts";
import { cases } from "../../../support/cases.ts";
import { configPaths, configuration, reference } from "../../../support/configurations.ts";

const RUNS = cases(100, 300);

const FAILOVER_FRAGMENT = `"failover_config": {
        "enabled": true,                      // 是否启用故障转移
        "priority_based_reassignment": true,  // 是否基于优先级重分配任务
        "preserve_task_priority": true,       // 是否保留任务原优先级
        "max_reassignment_attempts": 3,       // 最大重分配尝试次数
        "critical_agents": [],                // 关键Agent列表
        "backup_agents": {},                  // 备份Agent配置
        "use_failover_strategy": true,        // 是否使用高级故障转移策略
        "failover_strategy_type": "failover", // 故障转移策略类型：failover或backup_agent
        "backup_strategy_count": 2,           // 备份策略中每个任务的备份Agent数量
        "reliability_threshold": 0.8,         // 可靠性阈值
        "task_priority_levels": {             // 任务优先级级别配置
            "high": 8,
            "medium": 5,
            "low": 2
        },
        "failure_cooldown_period": 300        // 故障冷却期（秒）
    }`;

const NOTIFICATION_FRAGMENT = `"failure_notification": {
        "enabled": true,
        "notification_types": ["log", "email", "webhook", "system"],
        "min_severity": "warning"
    }`;

const EMAIL_FRAGMENT = `"email_notification": {
        "recipients": ["admin@example.com"],
        "smtp_server": "smtp.example.com",
        "smtp_port": 587,
        "username": "notification@example.com",
        "password": "password"
    }`;

const WEBHOOK_FRAGMENT = `"webhook_notification": {
        "url": "https://example.com/webhook",
        "headers": {"Content-Type": "application/json"},
        "method": "POST"
    }`;

const file = (...fragments: string[]) => `{\n    ${fragments.join(",\n    ")}\n}\n`;

const accepted = (text: string) => {
  const result = parseConfigFile(text);
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  return result;
};

const errorsOf = (input: unknown) => {
  const result = validateConfig(input);
  return result.ok ? [] : result.errors;
};

const fileErrors = (text: string) => {
  const result = parseConfigFile(text);
  return result.ok ? [] : result.errors;
};

describe("the configuration of the original document", () => {
  const asWritten = {
    notification_types: ["log", "email", "webhook", "system"],
    email_notification: {
      recipients: ["admin@example.com"],
      smtp_server: "smtp.example.com",
      smtp_port: 587,
      username: "notification@example.com",
      password: "password",
      from: "",
    },
    webhook_notification: {
      url: "https://example.com/webhook",
      headers: { "Content-Type": "application/json" },
      method: "POST",
      secret: "",
    },
  };

  it("accepts the failover block with its comments, which has the default values", () => {
    const { config, warnings } = accepted(file(FAILOVER_FRAGMENT));
    expect(config).toEqual(defaultConfig());
    expect(warnings).toEqual([]);
  });

  it("accepts the notification block and warns about the literal password without repeating it", () => {
    const { config, warnings } = accepted(file(NOTIFICATION_FRAGMENT, EMAIL_FRAGMENT, WEBHOOK_FRAGMENT));
    expect(config.failure_notification.notification_types).toEqual(asWritten.notification_types);
    expect(config.email_notification).toMatchObject(asWritten.email_notification);
    expect(config.webhook_notification).toMatchObject(asWritten.webhook_notification);
    expect(warnings.map(({ path }) => path)).toEqual(["email_notification.password"]);
    expect(warnings[0]?.message).toContain(reference("NAME"));
  });

  it("accepts both blocks as one object", () => {
    const { config } = accepted(
      file(FAILOVER_FRAGMENT, NOTIFICATION_FRAGMENT, EMAIL_FRAGMENT, WEBHOOK_FRAGMENT),
    );
    expect(config.failover_config).toEqual(defaultConfig().failover_config);
    expect(config.email_notification).toMatchObject(asWritten.email_notification);
  });

  it.each([
    ["failover", FAILOVER_FRAGMENT],
    ["failure notification", NOTIFICATION_FRAGMENT],
    ["email", EMAIL_FRAGMENT],
    ["webhook", WEBHOOK_FRAGMENT],
  ])("accepts the %s section as a file of its own", (_, fragment) => {
    accepted(file(fragment));
  });
});

describe("the configuration as shipped", () => {
  const shipped = readFileSync(
    new URL("../../../../configs/distributed_config.json", import.meta.url),
    "utf8",
  );

  it("has the default values, causes no warning and sends nothing outside", () => {
    const { config, warnings } = accepted(shipped);
    expect(config).toEqual(defaultConfig());
    expect(warnings).toEqual([]);
    expect(config.failure_notification.notification_types).toEqual(["log", "system"]);
    expect(config.email_notification.recipients).toEqual([]);
    expect(config.webhook_notification.url).toBe("");
  });

  it("has a line with a comment for every key", () => {
    const lines = shipped.split("\n");
    for (const [, key] of configPaths) {
      if (key === undefined) continue;
      expect(lines.filter((line) => line.trim().startsWith(`"${key}":`) && line.includes("//"))).not.toEqual(
        [],
      );
    }
  });
});

describe("a configuration file", () => {
  it("may have no settings, may contain comments and trailing commas, and may begin with a byte order mark", () => {
    const { config } = accepted(
      '\ufeff/* none */ {\r\n  "lock_config": { "lock_delay_seconds": 1.5, }, // one\r\n}',
    );
    expect(config.lock_config.lock_delay_seconds).toBe(1.5);
    expect(accepted("{}").config).toEqual(defaultConfig());
  });

  it("may contain any valid configuration", () => {
    fc.assert(
      fc.property(configuration, (config) => {
        expect(accepted(JSON.stringify(config, null, 2)).config).toEqual(config);
      }),
      RUNS,
    );
  });

  it("is refused with line and column where its syntax is wrong", () => {
    expect(fileErrors('{\n  "lock_config": {\n    "lock_delay_seconds" 1\n  }\n}')).toEqual([
      { path: "", message: "line 3, column 26: a colon is expected" },
    ]);
    expect(fileErrors('{\r\n  "lock_config": {}\r\n  "task_config": {}\r\n}')[0]?.message).toBe(
      "line 3, column 3: a comma is expected",
    );
  });

  it.each(["", "  // nothing\n", "[]", "null", '"text"', "{", "/*", '{"lock_config": 01}', "\u0000"])(
    "is refused when it is %j",
    (text) => {
      expect(fileErrors(text)).not.toEqual([]);
    },
  );

  it("is refused when a key is given twice, naming both lines", () => {
    expect(fileErrors('{\n"lock_config": {},\n"task_config": {},\n"lock_config": {}\n}')).toEqual([
      { path: "lock_config", message: 'key "lock_config" is given twice (lines 2 and 4)' },
    ]);
    const entries = '{"failover_config": {"backup_agents": {"a": "b", "a": "c"}}}';
    expect(fileErrors(entries).map(({ path }) => path)).toEqual(["failover_config.backup_agents.a"]);
  });

  it("is refused with the line of a wrong value", () => {
    expect(fileErrors('{\n  "lock_config": {\n    "lock_delay_seconds": -1\n  }\n}')).toEqual([
      { path: "lock_config.lock_delay_seconds", message: "must be at least 0 (line 3)" },
    ]);
  });

  it("is refused in bounded time at any depth and length", () => {
    expect(fileErrors("[".repeat(500_000))[0]?.message).toContain("nests deeper");
    expect(fileErrors('{"a":'.repeat(100_000))[0]?.message).toContain("nests deeper");
    expect(fileErrors(" ".repeat(2_000_000))[0]?.message).toContain("longer than");
    const manyKeys = `{${Array.from({ length: 20_000 }, (_, index) => `"k${index}":\n1`).join(",")}}`;
    const errors = fileErrors(manyKeys);
    expect(errors).toHaveLength(51);
    expect(errors.at(-1)).toEqual({ path: "", message: "and 19950 more" });
  });

  it("cannot change the prototype of an object", () => {
    const attempts = [
      '{"__proto__": {"polluted": true}}',
      '{"failover_config": {"__proto__": {"enabled": false}}}',
      '{"failover_config": {"backup_agents": {"__proto__": "agent2"}}}',
      '{"webhook_notification": {"headers": {"__proto__": "x"}}}',
      '{"constructor": {"prototype": {"polluted": true}}}',
    ];
    for (const text of attempts) {
      expect(fileErrors(text)).toHaveLength(1);
      expect(errorsOf(JSON.parse(text))).toHaveLength(1);
    }
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  it("may name agents like the inherited properties of objects", () => {
    const { config } = accepted('{"failover_config": {"backup_agents": {"constructor": "toString"}}}');
    expect(config.failover_config.backup_agents).toEqual({ constructor: "toString" });
  });
});

describe("an unknown key", () => {
  it("is refused with its name, the nearest known key and the line", () => {
    expect(fileErrors('{\n  "failover_config": {\n    "max_reasignment_attempts": 5\n  }\n}')).toEqual([
      {
        path: "failover_config.max_reasignment_attempts",
        message:
          'unknown key "max_reasignment_attempts" in failover_config; did you mean "max_reassignment_attempts"? (line 3)',
      },
    ]);
  });

  it("is refused with all known keys when none is near", () => {
    expect(errorsOf({ lock_config: { zebra: 1 } })).toEqual([
      {
        path: "lock_config.zebra",
        message:
          'unknown key "zebra" in lock_config; known keys: default_ttl_seconds, max_ttl_seconds, lock_delay_seconds',
      },
    ]);
  });

  it("is refused at every level", () => {
    const paths = errorsOf({
      failover: {},
      failover_config: { task_priority_levels: { hihg: 9 }, weights: { high: { speed: 1 } } },
    }).map(({ path }) => path);
    expect(paths).toContain("failover");
    expect(paths).toContain("failover_config.task_priority_levels.hihg");
    expect(paths).toContain("failover_config.weights.high.speed");
  });

  it("has a nearest key in any case and notation, unless it is too different", () => {
    const known = Object.keys(Config.shape.failover_config.def.innerType.shape);
    expect(nearestKey("maxReassignmentAttempts", known)).toBe("max_reassignment_attempts");
    expect(nearestKey("Enabled", known)).toBe("enabled");
    expect(nearestKey("colour", known)).toBeUndefined();
  });

  it("is shown escaped and at most 64 characters long", () => {
    expect(shownKey('a"b\\c\n\u202e\u{e0001}')).toBe('a\\"b\\\\c\\u000a\\u202e\\udb40\\udc01');
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (key) => {
        const shown = shownKey(key);
        expect(shown.length).toBeLessThanOrEqual(64);
        expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      }),
      RUNS,
    );
    const [error] = errorsOf({ ["k".repeat(100_000)]: 1 });
    expect(JSON.stringify(error).length).toBeLessThan(500);
  });
});

describe("the bounds", () => {
  const at = (path: string, value: unknown) => {
    const [section = "", ...keys] = path.split(".");
    return { [section]: keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) };
  };

  it.each([
    ["failover_config.max_reassignment_attempts", [0, 100], [-1, 101, 1.5, "3", null]],
    ["failover_config.backup_strategy_count", [0, 16], [-1, 17]],
    ["failover_config.reliability_threshold", [0, 1], [-0.1, 1.1]],
    ["failover_config.failure_cooldown_period", [0, 0.5, 604_800], [-1, 604_801, Number.POSITIVE_INFINITY]],
    ["failover_config.failover_strategy_type", ["failover", "backup_agent"], ["basic", ""]],
    ["failover_config.critical_agents", [["a", "x".repeat(128)]], [["-a"], [""], ["x".repeat(129)], "a"]],
    [
      "failover_config.backup_agents",
      [{ a: "b" }, { a: ["b", "c"] }, { a: [] }],
      [{ a: "a" }, { a: ["b", "a"] }, { a: ["b", "b"] }, { "a b": "c" }, { a: 1 }, { a: null }],
    ],
    [
      "failover_config.task_priority_levels",
      [{ high: 10, medium: 9, low: 0 }, { high: 9 }],
      [{ high: 5 }, { low: 5 }, { medium: 8 }, { high: 11 }, { low: -1 }, { high: 8.5 }],
    ],
    [
      "failover_config.weights",
      [{ high: { reliability: 2 } }, { high: { load: 0 } }, { high: {} }, { low: null }, {}],
      [
        { high: { reliability: 0, capability: 0, load: 0, performance: 0 } },
        { high: { load: -1 } },
        { top: null },
      ],
    ],
    ["failure_notification.notification_types", [[], ["email"]], [["log", "log"], ["pager"], "log"]],
    ["failure_notification.min_severity", ["info", "critical"], ["fatal"]],
    [
      "email_notification.recipients",
      [["a@b"], ["ops+x@mail.co"]],
      [["a"], ["a@b\r\nBcc: c@d"], ["a@b, c@d"]],
    ],
    ["email_notification.smtp_server", ["", "mail.co", "127.0.0.1"], ["a b", "mail.co\n", "-x"]],
    ["email_notification.smtp_port", [1, 65_535], [0, 65_536, 587.5]],
    ["email_notification.from", ["", "a@b.co"], ["a", "A <a@b.co>\n"]],
    [
      "webhook_notification.url",
      ["", "https://a.co/x?y=1", "http://127.0.0.1:9/x", reference("WEBHOOK_URL")],
      ["a", "ftp://a.co", "https://u:p@a.co", "https://", "https://a.co/\n", "javascript:alert(1)"],
    ],
    [
      "webhook_notification.headers",
      [{}, { "X-A": "" }, { Authorization: `Bearer ${reference("T")}` }],
      [{ "a b": "c" }, { a: "b\r\nc: d" }, { a: "b", A: "c" }, { a: 1 }, { a: "\u4e2d" }],
    ],
    ["webhook_notification.method", ["POST", "PUT"], ["GET", "post"]],
    ["heartbeat_config.interval_seconds", [0.1, 29.9], [0, 0.09, 30, 86_401]],
    ["heartbeat_config.timeout_seconds", [10.1, 86_400], [10, 5, 86_401]],
    ["heartbeat_config.reconnect_grace_seconds", [0, 86_400], [-1]],
    ["lock_config.default_ttl_seconds", [0.1, 3600], [0, 3601]],
    ["lock_config.max_ttl_seconds", [30, 86_400], [29, 86_401]],
    ["task_config.default_timeout_seconds", [null, 0.1, 2_592_000], [0, 2_592_001]],
    ["task_config.late_result_policy", ["keep", "accept_if_unfinished", "reject"], ["drop"]],
    ["task_config.retention_seconds", [1, 31_536_000], [0]],
    ["safe_mode_config.min_fraction", [0.01, 1], [0, 1.1]],
    ["safe_mode_config.min_agents", [1], [0, 1.5]],
  ])("of %s hold", (path, legal, illegal) => {
    for (const value of legal) expect(errorsOf(at(path, value))).toEqual([]);
    for (const value of illegal) expect(errorsOf(at(path, value)), JSON.stringify(value)).not.toEqual([]);
  });

  it("limit the number of agents and headers", () => {
    const names = (count: number) => Array.from({ length: count }, (_, index) => `n${index}`);
    const map = (count: number) => Object.fromEntries(names(count).map((name) => [name, "x"]));
    expect(errorsOf({ failover_config: { critical_agents: names(1000), backup_agents: map(1000) } })).toEqual(
      [],
    );
    expect(errorsOf({ failover_config: { critical_agents: names(1001) } })).toHaveLength(1);
    expect(errorsOf({ failover_config: { backup_agents: map(1001) } })).toHaveLength(1);
    expect(errorsOf({ failover_config: { backup_agents: { x: names(17) } } })).toHaveLength(1);
    expect(errorsOf({ webhook_notification: { headers: map(33) } })).toHaveLength(1);
  });

  it("name the key that contradicts another, and the value of that one", () => {
    const contradictions: [unknown, string, string][] = [
      [
        { heartbeat_config: { interval_seconds: 40 } },
        "heartbeat_config.timeout_seconds",
        "must be longer than `interval_seconds` (40)",
      ],
      [
        { lock_config: { max_ttl_seconds: 20 } },
        "lock_config.default_ttl_seconds",
        "must be at most `max_ttl_seconds` (20)",
      ],
      [
        { failure_notification: { repeat_interval_seconds: 60 } },
        "failure_notification.repeat_interval_seconds",
        "must be at least `group_interval_seconds` (300)",
      ],
      [
        { failover_config: { task_priority_levels: { high: 5 } } },
        "failover_config.task_priority_levels.high",
        "must be above `medium` (5)",
      ],
    ];
    for (const [input, path, message] of contradictions) expect(errorsOf(input)).toEqual([{ path, message }]);
  });

  it("say how a list is written, and where the strategy `basic` is chosen", () => {
    const input = {
      failure_notification: { notification_types: "webhook" },
      failover_config: { failover_strategy_type: "basic" },
    };
    const wanted = [
      {
        path: "failover_config.failover_strategy_type",
        message:
          'must be one of "failover", "backup_agent"; for the strategy "basic" set `use_failover_strategy` to false',
      },
      {
        path: "failure_notification.notification_types",
        message: 'must be a list; for example ["log", "webhook"]',
      },
    ];
    expect(errorsOf(input)).toEqual(wanted);
    const change = patchConfig(defaultConfig(), [], input);
    expect(change.ok ? [] : change.errors).toEqual(wanted);
  });
});

describe("the schema", () => {
  type Schema = z.core.JSONSchema.BaseSchema;
  const leaves = (schema: Schema, path: string): [string, Schema][] =>
    Object.entries(schema.properties ?? {}).flatMap(([key, property]): [string, Schema][] => {
      if (typeof property === "boolean") return [];
      return [[`${path}.${key}`, property], ...leaves(property, `${path}.${key}`)];
    });
  const keys = Object.entries(Config.shape).flatMap(([name, section]) =>
    leaves(z.toJSONSchema(section, { io: "input" }), name),
  );

  it.each(keys)(
    "gives %s a default, a description, and bounds with a unit where it has a size",
    (_, schema) => {
      expect(schema).toHaveProperty("default");
      expect(schema.description).toMatch(/\.$/);
      const kinds = [schema, ...(schema.anyOf ?? [])].filter((one) => typeof one !== "boolean");
      for (const kind of kinds) {
        if (kind.type === "number" || kind.type === "integer") {
          expect(kind).toHaveProperty("minimum");
          expect(kind).toHaveProperty("maximum");
          expect(schema).toHaveProperty("unit");
        }
        if (kind.type === "array") expect(kind).toHaveProperty("maxItems");
        if (kind.type === "string" && !kind.enum && kind.const === undefined) {
          expect(kind).toHaveProperty("maxLength");
        }
        if (kind.type === "object" && !kind.properties) expect(schema).toHaveProperty("maxProperties");
      }
    },
  );

  it("creates new defaults at each call", () => {
    const first = defaultConfig();
    first.failover_config.critical_agents.push("agent1");
    first.failover_config.backup_agents.agent1 = "agent2";
    first.webhook_notification.headers["X-A"] = "b";
    expect(defaultConfig().failover_config).toMatchObject({ critical_agents: [], backup_agents: {} });
    expect(defaultConfig().webhook_notification.headers).toEqual({ "Content-Type": "application/json" });
  });

  it("knows the same keys in a change as in a configuration", () => {
    for (const [section, key] of configPaths) {
      const body = { [section]: key === undefined ? null : { [key]: null } };
      expect(ConfigChangeBody.safeParse(body).success, `${section} ${key ?? ""}`).toBe(true);
    }
  });
});

describe("the page about the configuration", () => {
  const page = readFileSync(new URL("../../../../docs/configuration.md", import.meta.url), "utf8");

  it("has the tables that the schema gives (to update: node scripts/config-table.ts)", () => {
    expect(withConfigTables(page)).toBe(page);
  });

  it("has a row for every key", () => {
    const tables = configTables();
    for (const [, key] of configPaths) if (key !== undefined) expect(tables).toContain(`| \`${key}\` |`);
  });
});
