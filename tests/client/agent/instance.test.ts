/** The name of an agent's process. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { instanceName } from "../../../client/src/agent/instance.ts";

afterEach(() => vi.unstubAllGlobals());

const onHost = (hostname: () => string) =>
  vi.stubGlobal("process", { pid: 7, getBuiltinModule: () => ({ hostname }) });

describe("the name of a process", () => {
  it("has the host, the process id, and a random part that is another one each time", () => {
    onHost(() => "worker-1.example.org");
    const names = Array.from({ length: 100 }, instanceName);
    for (const name of names) expect(name).toMatch(/^worker-1\.example\.org\/7\/[0-9a-f]{16}$/);
    expect(new Set(names).size).toBe(100);
  });

  it("has only characters that the coordinator takes, and not too many", () => {
    onHost(() => `a\nb${"é".repeat(300)}`);
    expect(instanceName()).toMatch(/^a_b_{125}\/7\/[0-9a-f]{16}$/);
  });

  it("does without a host name where the platform does not tell it", () => {
    onHost(() => {
      throw new Error("not permitted");
    });
    expect(instanceName()).toMatch(/^unknown\/7\/[0-9a-f]{16}$/);
    vi.stubGlobal("process", undefined);
    expect(instanceName()).toMatch(/^unknown\/0\/[0-9a-f]{16}$/);
  });
});
