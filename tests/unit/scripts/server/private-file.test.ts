import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { makePrivateFolder } from "../../../../scripts/server/private-file.ts";

const folder = mkdtempSync(join(tmpdir(), "failover-private-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const modeOf = (path: string) => statSync(path).mode & 0o777;

describe("a private folder", () => {
  it("is made with the folders above it, for its owner alone", () => {
    const path = join(folder, "a", "b", "c");
    makePrivateFolder(path);
    expect([path, join(folder, "a")].map(modeOf)).toEqual([0o700, 0o700]);
  });

  it("that exists keeps its mode", () => {
    const path = join(folder, "shared");
    mkdirSync(path, { mode: 0o755 });
    makePrivateFolder(path);
    expect(modeOf(path)).toBe(0o755);
  });

  it("is refused where a file is in the way, or where the system makes no folder", () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    expect(() => makePrivateFolder(file)).toThrow("EEXIST");
    expect(() => makePrivateFolder(join(file, "below"))).toThrow("ENOTDIR");
    expect(() => makePrivateFolder("/proc/failover-coordinator")).toThrow("ENOENT");
  });
});
