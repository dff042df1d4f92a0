import { describe, expect, it } from "vitest";
import { type WorkerdOptions, workerdConfig } from "../../../../scripts/server/workerd-config.ts";

const options: WorkerdOptions = {
  listenOn: "127.0.0.1:8787",
  compatibilityDate: "2026-11-02",
  compatibilityFlags: ["one", "two"],
  modules: [
    { name: "index.js", type: "esModule", file: "/built/index.js" },
    { name: "page.html", type: "text", file: "/built/page.html" },
  ],
  durableObjects: [
    { binding: "AGENT_GROUP", className: "AgentGroup" },
    { binding: "COORDINATOR", className: "Coordinator" },
  ],
  variables: ["ADMIN_TOKEN", "BOOT_ID"],
  storageDir: "/data/do",
  allowLocalTargets: false,
  trustedCertificates: [],
};

const configOf = (change: Partial<WorkerdOptions> = {}) => workerdConfig({ ...options, ...change });

describe("workerd's configuration", () => {
  it("serves the Worker on the given address", () => {
    const text = configOf({ listenOn: "[::1]:80" });
    expect(text).toContain(
      'sockets = [(name = "http", address = "[::1]:80", http = (), service = "worker")]',
    );
    expect(text).toContain('compatibilityDate = "2026-11-02"');
    expect(text).toContain('compatibilityFlags = ["one", "two"]');
  });

  it("embeds the modules, the main one first", () => {
    const text = configOf();
    const main = text.indexOf('(name = "index.js", esModule = embed "/built/index.js")');
    const page = text.indexOf('(name = "page.html", text = embed "/built/page.html")');
    expect(main).toBeGreaterThan(0);
    expect(page).toBeGreaterThan(main);
  });

  it("keeps every class of objects on disk, with SQL, and in memory", () => {
    const text = configOf();
    for (const className of ["AgentGroup", "Coordinator"]) {
      expect(text).toContain(
        `(className = "${className}", uniqueKey = "${className}", preventEviction = true, enableSql = true)`,
      );
    }
    expect(text).toContain('(name = "AGENT_GROUP", durableObjectNamespace = "AgentGroup")');
    expect(text).toContain('durableObjectStorage = (localDisk = "storage")');
    expect(text).toContain('(name = "storage", disk = (path = "/data/do", writable = true))');
  });

  it("names variables and holds none of their values", () => {
    expect(configOf()).toContain('(name = "ADMIN_TOKEN", fromEnvironment = "ADMIN_TOKEN")');
  });

  it("lets the Worker reach public addresses alone", () => {
    expect(configOf()).toContain('allow = ["public"]');
    expect(configOf()).toContain('globalOutbound = "outbound"');
  });

  it("lets the Worker reach local and private addresses when that is allowed", () => {
    expect(configOf({ allowLocalTargets: true })).toContain('allow = ["public", "private", "local"]');
  });

  it("trusts the roots of browsers and the certificates given, one by one", () => {
    const text = configOf({ trustedCertificates: ["-----BEGIN\nA", "-----BEGIN\nB"] });
    expect(text).toContain("trustBrowserCas = true");
    expect(text).toContain('trustedCertificates = ["-----BEGIN\\nA", "-----BEGIN\\nB"]');
  });

  it("escapes what would end a string", () => {
    const text = configOf({ storageDir: '/a "b" \\ \u0007\u0085 é\n' });
    expect(text).toContain('path = "/a \\"b\\" \\\\ \\x07\\xc2\\x85 é\\n"');
  });

  it("is the same for the same options", () => {
    expect(configOf()).toBe(configOf());
  });
});
