/** The lock file serves every platform: `npm ci` refuses one without the packages of other platforms. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

type Entry = {
  resolved?: string;
  optional?: boolean;
  engines?: { node?: string };
  optionalDependencies?: Record<string, string>;
};

const lock = JSON.parse(readFileSync(join(import.meta.dirname, "../../package-lock.json"), "utf8")) as {
  packages: Record<string, Entry>;
};

const numbersOf = (version: string) => [0, 1, 2].map((at) => Number(version.split(".")[at] ?? 0));

/** Whether the range, `>=1.2.3`, `^1.2.3` or several of them with `||`, contains the version. */
function accepts(range: string, version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = numbersOf(version);
  return range.split("||").some((part) => {
    const [, sign, text] = /^\s*(>=|\^)\s*([\d.]+)\s*$/.exec(part) ?? [];
    if (text === undefined) throw new Error(`unexpected range: ${range}`);
    const [least = 0, leastMinor = 0, leastPatch = 0] = numbersOf(text);
    const isNewer = [major - least, minor - leastMinor, patch - leastPatch].find((by) => by !== 0) ?? 0;
    return isNewer >= 0 && (sign === ">=" || major === least);
  });
}

describe("the lock file", () => {
  it("has no package that complains about a Node which the project allows", () => {
    // The lowest version of each major version in `engines`.
    const allowed = lock.packages[""]?.engines?.node?.match(/\d+\.\d+\.\d+/g) ?? [];
    expect(allowed).toHaveLength(3);
    const complaints = Object.entries(lock.packages).flatMap(([path, { optional, engines }]) =>
      allowed
        .filter((version) => !(optional || accepts(engines?.node ?? ">=0", version)))
        .map((version) => `${path}: ${engines?.node}, not ${version}`),
    );
    expect(complaints).toEqual([]);
  });

  it("has an entry for every optional dependency of any platform", () => {
    const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) =>
          !(`node_modules/${name}` in lock.packages) && !(`${path}/node_modules/${name}` in lock.packages),
      ),
    );
    expect(missing).toEqual([]);
  });

  it("names no registry", () => {
    expect(Object.values(lock.packages).filter(({ resolved }) => resolved?.startsWith("http"))).toEqual([]);
  });
});
