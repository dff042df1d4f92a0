import { describe, expect, it } from "vitest";
import { namesById, objectId } from "../../../../scripts/inspect/object-name.ts";

// As workerd names the files of these objects.
const EU = "7edabfb697ba7baa9141ef60a792d6327c6329985ba27d8275c4db5ce0274798";

describe("the id of an object", () => {
  it("is the one that workerd derives from its class and its name", () => {
    expect(objectId("Coordinator", "eu")).toBe(EU);
    expect(objectId("AgentGroup", "eu/g1")).toBe(
      "317e40b4d0b3578f378eb4156d00a97a561316269378783ce3b490f423433434",
    );
  });

  it("gives the name away among names that are tried", () => {
    const ids = new Set([EU, "0".repeat(64)]);
    expect([...namesById("Coordinator", ids, ["us", "eu", "default"])]).toEqual([[EU, "eu"]]);
  });
});
