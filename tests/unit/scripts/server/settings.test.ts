import { describe, expect, it } from "vitest";
import { mergeVariables, readSettings, weakSecretWarnings } from "../../../../scripts/server/settings.ts";

const folders = { root: "/project", working: "/home/me" };
const read = (variables: Record<string, string>) => readSettings(variables, folders);

function settingsOf(variables: Record<string, string>) {
  const outcome = read(variables);
  if (!outcome.ok) throw new Error(outcome.lines.join("\n"));
  return outcome.value;
}

function refusalOf(variables: Record<string, string>) {
  const outcome = read(variables);
  if (outcome.ok) throw new Error("it was accepted");
  return outcome;
}

describe("settings", () => {
  it("have a default for everything", () => {
    expect(settingsOf({})).toEqual({
      host: "127.0.0.1",
      port: 8787,
      dataDir: "/project/.data",
      adminToken: null,
      signingKey: null,
      allowLocalTargets: false,
      publicUrl: null,
      corsOrigins: [],
      extraCertificatesFile: null,
      bundleDir: null,
    });
  });

  it("resolve relative paths against the working folder", () => {
    const settings = settingsOf({ DATA_DIR: "state", NODE_EXTRA_CA_CERTS: "ca.pem", BUNDLE_DIR: "/built" });
    expect(settings).toMatchObject({
      dataDir: "/home/me/state",
      extraCertificatesFile: "/home/me/ca.pem",
      bundleDir: "/built",
    });
  });

  it.each([
    ["0", 0],
    ["80", 80],
    ["65535", 65_535],
  ])("takes %s as a port", (value, port) => {
    expect(settingsOf({ PORT: value }).port).toBe(port);
  });

  it.each(["abc", "-1", "65536", "8080.5", "1e3", " 80", "0x50", "080000"])(
    "refuses %s as a port",
    (value) => {
      const refusal = refusalOf({ PORT: value });
      expect(refusal.exitCode).toBe(2);
      expect(refusal.lines).toEqual([`PORT must be a number from 0 to 65535, not ${JSON.stringify(value)}`]);
    },
  );

  it.each([
    ["127.0.0.1", "127.0.0.1"],
    ["0.0.0.0", "0.0.0.0"],
    ["::1", "::1"],
    ["[::1]", "::1"],
    ["::", "::"],
    ["localhost", "localhost"],
    ["my-host.lan", "my-host.lan"],
  ])("takes %s as a host", (value, host) => {
    expect(settingsOf({ HOST: value }).host).toBe(host);
  });

  it.each([
    "a b",
    "http://localhost",
    "127.0.0.1:80",
    "1.2.3",
    "999.1.1.1",
    "fe80::1%eth0",
    "[localhost]",
    "-x",
    "a/b",
  ])("refuses %s as a host", (value) => {
    expect(refusalOf({ HOST: value }).lines[0]).toMatch(/^HOST must be an IP address or a host name/);
  });

  it.each(["maybe", "1", "TRUE", "yes"])("refuses %s for ALLOW_LOCAL_TARGETS", (value) => {
    expect(refusalOf({ ALLOW_LOCAL_TARGETS: value }).lines).toEqual([
      `ALLOW_LOCAL_TARGETS must be true or false, not "${value}"`,
    ]);
  });

  it("accept the origins of web pages as a browser sends them", () => {
    expect(settingsOf({ CORS_ORIGINS: "https://a.example.org, http://localhost:3000" }).corsOrigins).toEqual([
      "https://a.example.org",
      "http://localhost:3000",
    ]);
    expect(settingsOf({ CORS_ORIGINS: "*" }).corsOrigins).toEqual(["*"]);
  });

  it.each([
    "a.example.org",
    "https://a.example.org/",
    "https://a.example.org:443",
    "null",
    "https://*.example.org/x",
  ])("refuses %s as an origin", (value) => {
    expect(refusalOf({ CORS_ORIGINS: `https://a.example.org,${value}` }).lines).toEqual([
      `CORS_ORIGINS must be origins such as https://app.your-company.org, with commas, or *; not "${value}"`,
    ]);
  });

  it("allow local targets only with ALLOW_LOCAL_TARGETS=true", () => {
    expect(settingsOf({ ALLOW_LOCAL_TARGETS: "true" }).allowLocalTargets).toBe(true);
    expect(settingsOf({ ALLOW_LOCAL_TARGETS: "false" }).allowLocalTargets).toBe(false);
  });

  it("accept an admin token of 16 to 512 characters of the alphabet of tokens", () => {
    const token = "Abc.123_xyz-0000";
    expect(settingsOf({ ADMIN_TOKEN: token }).adminToken).toBe(token);
    expect(refusalOf({ ADMIN_TOKEN: token.slice(1) }).lines[0]).toMatch(
      /^ADMIN_TOKEN has 15 characters, at least 16 are needed/,
    );
    expect(refusalOf({ ADMIN_TOKEN: `${token}:` }).lines[0]).toMatch(/^ADMIN_TOKEN may contain only/);
    expect(refusalOf({ ADMIN_TOKEN: "x".repeat(513) }).lines[0]).toMatch(
      /^ADMIN_TOKEN has 513 characters, at most 512 are allowed/,
    );
  });

  it("accept a printable signing key, with a warning for one shorter than its hash", () => {
    const key = "k!ey$".repeat(8);
    expect(settingsOf({ SIGNING_KEY: key }).signingKey).toBe(key);
    expect(weakSecretWarnings(settingsOf({ SIGNING_KEY: key }))).toEqual([]);
    expect(weakSecretWarnings(settingsOf({ SIGNING_KEY: key.slice(9) }))[0]).toMatch(/^SIGNING_KEY has 31 /);
    expect(refusalOf({ SIGNING_KEY: `${key} ` }).lines[0]).toMatch(/^SIGNING_KEY may contain only printable/);
  });

  it("never repeat a secret in an error", () => {
    const { lines } = refusalOf({ ADMIN_TOKEN: "pass word", SIGNING_KEY: "pass word" });
    expect(lines).toHaveLength(2);
    expect(lines.join()).not.toContain("pass word");
  });

  it("report all errors at once", () => {
    expect(refusalOf({ PORT: "x", HOST: " ", ALLOW_LOCAL_TARGETS: "x" }).lines).toHaveLength(3);
  });
});

describe("variables", () => {
  it("come from the environment first, then from .dev.vars", () => {
    expect(mergeVariables({ PORT: "1" }, { PORT: "2", HOST: "::1" })).toEqual({ PORT: "1", HOST: "::1" });
  });

  it("that are empty count as not set", () => {
    expect(mergeVariables({ PORT: "", HOST: "" }, { PORT: "2" })).toEqual({ PORT: "2" });
  });
});
