/** Secrets in a configuration: hidden from readers, kept by a change that sends them back, in no message. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Config, type ConfigInput, defaultConfig } from "../../../../src/contract/config.ts";
import { patchConfig, replaceConfig } from "../../../../src/validation/configuration/config-changes.ts";
import { validateConfig } from "../../../../src/validation/configuration/config-check.ts";
import { parseConfigFile } from "../../../../src/validation/configuration/config-file.ts";
import { missingSecretWarnings } from "../../../../src/validation/configuration/missing-secrets.ts";
import { differenceFrom } from "../../../../src/validation/configuration/overrides.ts";
import {
  REDACTED,
  redactConfig,
  restoreRedacted,
  secretNamesIn,
} from "../../../../src/validation/configuration/secrets.ts";
import { cases } from "../../../support/cases.ts";
import { configPaths, configuration, reference } from "../../../support/configurations.ts";

const RUNS = cases(100, 300);

const secretive = Config.parse({
  email_notification: { password: "pw-1", username: "robot" },
  webhook_notification: {
    url: "https://hooks.test/x",
    headers: { "Content-Type": "application/json", Authorization: "Bearer tok-1", "X-Empty": "" },
    secret: "whsec-1",
  },
});

describe("a redacted configuration", () => {
  it("hides passwords, webhook secrets and header values, but not Content-Type and empty values", () => {
    const shown = redactConfig(secretive);
    expect(shown.email_notification).toMatchObject({ password: REDACTED, username: "robot" });
    expect(shown.webhook_notification).toMatchObject({
      url: "https://hooks.test/x",
      headers: { "Content-Type": "application/json", Authorization: REDACTED, "X-Empty": "" },
      secret: REDACTED,
    });
    expect(redactConfig(defaultConfig())).toEqual(defaultConfig());
  });

  it("shows the names of secrets, and hides the text around them", () => {
    const named = Config.parse({
      email_notification: { password: reference("SMTP_PASSWORD") },
      webhook_notification: { headers: { Authorization: `Bearer ${reference("TOKEN")}` } },
    });
    expect(redactConfig(named)).toMatchObject({
      email_notification: { password: reference("SMTP_PASSWORD") },
      webhook_notification: { headers: { Authorization: `${REDACTED}${reference("TOKEN")}` } },
    });
  });

  it("does not change the original configuration", () => {
    redactConfig(secretive);
    expect(secretive.email_notification.password).toBe("pw-1");
  });

  it("sent back whole changes nothing", () => {
    fc.assert(
      fc.property(configuration, configuration, (base, now) => {
        const overrides = differenceFrom(base, now);
        expect(restoreRedacted(redactConfig(now), now)).toEqual({ ok: true, value: now });
        const patched = patchConfig(base, overrides, withoutNullKeys(redactConfig(now)));
        expect(patched).toMatchObject({ ok: true, config: now, overrides });
      }),
      RUNS,
    );
  });
});

describe("[redacted] in a change", () => {
  it("keeps the secret, in PUT and in PATCH, for a header in any case", () => {
    const body = {
      email_notification: { password: REDACTED },
      webhook_notification: { headers: { authorization: REDACTED }, secret: REDACTED },
    };
    const overrides = differenceFrom(defaultConfig(), secretive);
    const replaced = replaceConfig(defaultConfig(), overrides, body);
    expect(replaced).toMatchObject({
      ok: true,
      config: {
        email_notification: { password: "pw-1", username: "" },
        webhook_notification: { headers: { authorization: "Bearer tok-1" }, secret: "whsec-1" },
      },
    });
    const patched = patchConfig(defaultConfig(), overrides, { email_notification: { password: REDACTED } });
    expect(patched).toMatchObject({ ok: true, config: secretive, overrides });
  });

  it("beside the name of a secret keeps the value with that name, and is refused with another", () => {
    const base = Config.parse({ webhook_notification: { secret: `v1-${reference("KEY")}` } });
    const patched = (secret: string) => patchConfig(base, [], { webhook_notification: { secret } });
    expect(patched(`${REDACTED}${reference("KEY")}`)).toMatchObject({
      ok: true,
      config: base,
      overrides: [],
    });
    const refused = patched(`${REDACTED}${reference("OTHER")}`);
    expect(refused.ok ? [] : refused.errors.map(({ path }) => path)).toEqual(["webhook_notification.secret"]);
  });

  it("is refused with its path where no value is set", () => {
    const body = {
      email_notification: { password: REDACTED },
      webhook_notification: { headers: { "X-Key": REDACTED }, secret: REDACTED },
    };
    for (const change of [patchConfig(defaultConfig(), [], body), replaceConfig(defaultConfig(), [], body)]) {
      expect(change.ok ? [] : change.errors.map(({ path }) => path)).toEqual([
        "email_notification.password",
        'webhook_notification.headers["X-Key"]',
        "webhook_notification.secret",
      ]);
    }
  });

  it("is ordinary text in a key that is not secret", () => {
    const change = patchConfig(secretive, [], { email_notification: { username: REDACTED } });
    expect(change).toMatchObject({ ok: true, config: { email_notification: { username: REDACTED } } });
  });

  it("is refused in a file, where there is no value to keep", () => {
    const result = parseConfigFile(JSON.stringify(redactConfig(secretive)));
    expect(result.ok ? [] : result.errors.map(({ path }) => path)).toEqual([
      "email_notification.password",
      "webhook_notification.headers.Authorization",
      "webhook_notification.secret",
    ]);
  });

  it("allows a secret to be changed and restored from the file", () => {
    const first = patchConfig(secretive, [], { email_notification: { password: "pw-2" } });
    expect(first).toMatchObject({ ok: true, config: { email_notification: { password: "pw-2" } } });
    const second = patchConfig(secretive, first.ok ? first.overrides : [], {
      email_notification: { password: null },
      webhook_notification: { headers: { Authorization: null } },
    });
    expect(second).toMatchObject({ ok: true, config: secretive, overrides: [] });
  });
});

describe("a literal secret", () => {
  const warningPaths = (input: unknown) => {
    const result = validateConfig(input);
    return result.ok ? result.warnings.map(({ path }) => path) : ["not legal"];
  };

  it("causes a warning with its path", () => {
    expect(warningPaths(secretive)).toEqual([
      "email_notification.password",
      "webhook_notification.headers.Authorization",
      "webhook_notification.secret",
    ]);
  });

  it("causes no warning if it is a name, empty, or a header without a credential", () => {
    expect(
      warningPaths({
        email_notification: { password: reference("SMTP_PASSWORD") },
        webhook_notification: {
          headers: { Authorization: `Bearer ${reference("TOKEN")}`, "X-Team": "robots", Cookie: "" },
          secret: "",
        },
      }),
    ).toEqual([]);
  });

  it("is recognised by its reference", () => {
    expect(secretNamesIn(`${reference("A")} and ${reference("b_2")}`)).toEqual(["A", "b_2"]);
    for (const name of ["", "1A", "A-B", "A".repeat(65)]) expect(secretNamesIn(reference(name))).toEqual([]);
    expect(secretNamesIn("$A {B}")).toEqual([]);
  });
});

describe("the name of a secret that is not set", () => {
  const warningsOf = (input: ConfigInput, set: string[] = []) =>
    missingSecretWarnings(Config.parse(input), (name) => set.includes(name));

  it("causes a warning with its path and name", () => {
    const input = {
      email_notification: { password: reference("SMTP_PASSWORD") },
      webhook_notification: {
        url: reference("HOOK_URL"),
        headers: { Authorization: `Bearer ${reference("TOKEN")} ${reference("TOKEN")}` },
      },
    };
    expect(warningsOf(input, ["HOOK_URL"])).toEqual([
      {
        path: ["email_notification", "password"],
        message: "names the secret SMTP_PASSWORD, which is not set in the environment of the server",
      },
      {
        path: ["webhook_notification", "headers", "Authorization"],
        message: "names the secret TOKEN, which is not set in the environment of the server",
      },
    ]);
    expect(warningsOf(input, ["HOOK_URL", "TOKEN", "SMTP_PASSWORD"])).toEqual([]);
  });

  it("causes no warning in a key that the provider or the preset does not use", () => {
    expect(
      warningsOf({
        email_notification: { provider: "resend", password: reference("SMTP_PASSWORD") },
        webhook_notification: { routing_key: reference("ROUTING_KEY") },
      }),
    ).toEqual([]);
  });
});

describe("no message", () => {
  const PLANTED = "tell-nobody-tell-nobody";
  /** Half of it, so that a message that shows a part is found too. */
  const TRACE = "tell-nobody";

  const messagesOf = (input: unknown) => {
    const { config: _, ...file } = { config: undefined, ...parseConfigFile(JSON.stringify(input, null, 1)) };
    const { config: __, ...whole } = { config: undefined, ...validateConfig(input) };
    const changes = [patchConfig, replaceConfig].map((change) => {
      const result = change(secretive, [], input);
      return result.ok ? result.warnings : result.errors;
    });
    return JSON.stringify([file, whole, changes]);
  };

  it("repeats a value, in any place and of any expected type", () => {
    const planted = fc.constantFrom<unknown>(
      PLANTED,
      [PLANTED],
      [PLANTED, PLANTED],
      { key: PLANTED },
      { high: PLANTED },
      { agent1: [PLANTED, PLANTED] },
      { agent1: `${PLANTED}\n` },
      { Authorization: PLANTED },
      `https://user:${PLANTED}@hooks.test/`,
      `${PLANTED}@mail.test\r\nBcc: x@mail.test`,
      PLANTED.repeat(200),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...configPaths), planted), { maxLength: 6 }),
        (plants) => {
          const input: Record<string, unknown> = {};
          for (const [[section, name], value] of plants) {
            const keys = input[section];
            const others = typeof keys === "object" && keys !== null ? keys : {};
            input[section] = name === undefined ? value : { ...others, [name]: value };
          }
          expect(messagesOf(input)).not.toContain(TRACE);
        },
      ),
      cases(200, 1000),
    );
  });

  it("shows a part of an invalid file", () => {
    const text = JSON.stringify(
      {
        email_notification: { password: PLANTED, username: "robot" },
        webhook_notification: { secret: PLANTED, headers: { Authorization: PLANTED } },
      },
      null,
      1,
    );
    fc.assert(
      fc.property(
        fc.nat({ max: text.length }),
        fc.nat({ max: 2 }),
        fc.constantFrom("", '"', "{", "}", ",", ":", "\\", "\n", "/*", "//", "x"),
        (at, cut, inserted) => {
          const result = parseConfigFile(text.slice(0, at) + inserted + text.slice(at + cut));
          expect(JSON.stringify(result.ok ? result.warnings : result.errors)).not.toContain(TRACE);
        },
      ),
      cases(200, 1000),
    );
  });
});

/** A patch cannot ask for null, which goes back to the file: it leaves such keys out. */
function withoutNullKeys(config: Config): unknown {
  return JSON.parse(JSON.stringify(config, (_, value) => (value === null ? undefined : value)));
}
