/** Addresses that are refused, in any spelling. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { refuseHost, refuseTarget } from "../../../src/validation/webhook-target.ts";

const PUBLIC = { allowLocalTargets: false, publicUrl: "https://coordinator.company.org" };
const LOCAL = { allowLocalTargets: true, publicUrl: "http://127.0.0.1:8787" };

const IP_HOSTS = [
  "127.0.0.1",
  "127.1",
  "0x7f.1",
  "0x7f000001",
  "0177.0.0.1",
  "2130706433",
  "127.0.0.1.",
  "10.0.0.1",
  "169.254.169.254",
  "203.0.113.9",
  "0",
  "１２７.0.0.1",
  "[::1]",
  "[::]",
  "[::ffff:127.0.0.1]",
  "[fd00::1]",
  "[2001:db8::1]",
];

const LOCAL_NAMES = [
  "localhost",
  "LOCALHOST",
  "localhost.",
  "a.localhost",
  "printer.local",
  "printer.local.",
  "metadata.google.internal",
  "nas.lan",
  "router.home.arpa",
  "service.test",
  "intranet",
  "intranet.",
  "db.corp",
];

describe("the URL of a webhook", () => {
  it("may be a public name over https", () => {
    for (const url of [
      "https://hooks.example/T0/B0/secret",
      "https://hooks.example:8443/",
      "https://hooks.example./",
      "https://xn--bcher-kva.example/",
      "https://localhost.example/",
      "https://1.2.3.4.example/",
    ]) {
      expect(refuseTarget(url, PUBLIC), url).toBeNull();
    }
  });

  it("must not be an IP address in any form", () => {
    for (const host of IP_HOSTS) {
      expect(refuseTarget(`https://${host}/hook`, PUBLIC), host).toContain("IP address");
    }
  });

  it("must not be a local name, with or without a dot at its end", () => {
    for (const host of LOCAL_NAMES) {
      expect(refuseTarget(`https://${host}/hook`, PUBLIC), host).toContain("local name");
    }
  });

  it("must be an address with https, not with http or another scheme", () => {
    expect(refuseTarget("http://hooks.example/", PUBLIC)).toContain("ALLOW_LOCAL_TARGETS");
    for (const url of ["ftp://hooks.example/", "file:///etc/passwd", "data:text/plain,x", "javascript:1"]) {
      expect(refuseTarget(url, PUBLIC), url).toContain("https://");
      expect(refuseTarget(url, LOCAL), url).toContain("https://");
    }
    for (const url of ["", "hooks.example", "https://", "https://:443/", "https://a b/"]) {
      expect(refuseTarget(url, PUBLIC), url).not.toBeNull();
      expect(refuseTarget(url, LOCAL), url).not.toBeNull();
    }
    expect(refuseTarget("https://./", PUBLIC)).not.toBeNull();
    expect(refuseTarget("https://./", LOCAL)).not.toBeNull();
  });

  it("must not contain a user name or a password", () => {
    for (const url of ["https://me@hooks.example/", "https://:pass@hooks.example/"]) {
      expect(refuseTarget(url, PUBLIC)).toContain("header");
      expect(refuseTarget(url, LOCAL)).toContain("header");
    }
  });

  it("must not be the host of this server, on any port and in any spelling", () => {
    for (const host of [
      "coordinator.company.org",
      "COORDINATOR.company.org",
      "coordinator.company.org.:444",
    ]) {
      expect(refuseTarget(`https://${host}/hook`, PUBLIC), host).toContain("own address");
    }
    expect(refuseTarget("https://other.company.org/hook", PUBLIC)).toBeNull();
    expect(refuseTarget("https://coordinator.company.org/", { ...PUBLIC, publicUrl: null })).toBeNull();
  });

  it("may be local where that is allowed, but not the port of this server under any name of this machine", () => {
    for (const url of [
      "http://127.0.0.1:9000/",
      "http://localhost:9000",
      "https://printer.local/",
      "http://[::1]/",
      "http://10.0.0.1/",
    ]) {
      expect(refuseTarget(url, LOCAL), url).toBeNull();
    }
    for (const host of [
      "127.0.0.1",
      "localhost",
      "a.localhost",
      "0x7f.1",
      "[::1]",
      "[::ffff:127.0.0.1]",
      "0",
    ]) {
      expect(refuseTarget(`http://${host}:8787/hook`, LOCAL), host).toContain("own address");
    }
    const own = { allowLocalTargets: true, publicUrl: "https://coordinator.company.org" };
    expect(refuseTarget("https://coordinator.company.org:443/", own)).toContain("own address");
    expect(refuseTarget("https://coordinator.company.org:8443/", own)).toBeNull();
  });

  it("is not refused because the own address of the server is not valid", () => {
    expect(refuseTarget("https://hooks.example/", { ...PUBLIC, publicUrl: "nonsense" })).toBeNull();
  });

  it("is not repeated in the reason", () => {
    const secret = fc.stringMatching(/^[a-z0-9]{16}$/);
    const host = fc.constantFrom(...IP_HOSTS, ...LOCAL_NAMES, "coordinator.company.org", "u:p@hooks.example");
    fc.assert(
      fc.property(host, secret, fc.boolean(), (name, path, allowLocalTargets) => {
        const reason = refuseTarget(`https://${name}/${path}`, { ...PUBLIC, allowLocalTargets });
        expect(reason ?? "").not.toContain(path);
      }),
    );
  });

  it("is checked without an exception for any text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl()), fc.boolean(), (url, allowLocalTargets) => {
        for (const publicUrl of [null, "https://coordinator.company.org", url]) {
          const reason = refuseTarget(url, { allowLocalTargets, publicUrl });
          expect(reason === null || reason.length > 0).toBe(true);
        }
      }),
    );
  });

  it("must not be an IPv4 address in any notation of its number", () => {
    const form = fc.constantFrom(
      (address: number) => String(address),
      (address: number) => `0x${address.toString(16)}`,
      (address: number) => `0${address.toString(8)}`,
      (address: number) => `${address >>> 24}.${address & 0xffffff}`,
    );
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), form, (address, write) => {
        expect(refuseTarget(`https://${write(address)}/`, PUBLIC)).toContain("IP address");
        expect(refuseHost(write(address), PUBLIC)).toContain("IP address");
      }),
    );
  });
});

describe("a bare host", () => {
  it("is checked like the host of an address", () => {
    expect(refuseHost("smtp.example", PUBLIC)).toBeNull();
    for (const host of [...IP_HOSTS, "::1", "fd00::1"]) {
      expect(refuseHost(host, PUBLIC), host).toContain("IP address");
      expect(refuseHost(host, LOCAL), host).toBeNull();
    }
    for (const host of LOCAL_NAMES) {
      expect(refuseHost(host, PUBLIC), host).toContain("local name");
      expect(refuseHost(host, LOCAL), host).toBeNull();
    }
    expect(refuseHost("coordinator.company.org", PUBLIC)).toContain("own address");
  });

  it("must be a host and nothing else", () => {
    for (const host of [
      "",
      ".",
      "a/b",
      "u@smtp.example",
      "smtp.example:25",
      "smtp.example?x",
      "a b",
      "%6c",
      "[::1",
    ]) {
      expect(refuseHost(host, PUBLIC), host).toBe("it names no host");
      expect(refuseHost(host, LOCAL), host).toBe("it names no host");
    }
  });
});
