/** Web pages that may call the API: those whose origin the settings name. */
import { describe, expect, it } from "vitest";
import { apiOfThisFile } from "../support/checked-cluster.ts";

const OURS = "https://app.example.org";

describe("without CORS_ORIGINS", () => {
  const api = apiOfThisFile();

  it("no page is allowed, and answers name no origin", async () => {
    const url = `${api.server.url}/v1/clusters/c/status`;
    const asked = await fetch(url, { method: "OPTIONS", headers: { Origin: OURS } });
    expect(asked.ok).toBe(false);
    const answer = await fetch(url, {
      headers: { Origin: OURS, Authorization: `Bearer ${api.server.adminToken}` },
    });
    expect(answer.status).toBe(200);
    expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
  });
});

describe("with CORS_ORIGINS", () => {
  const api = apiOfThisFile({ env: { CORS_ORIGINS: `https://other.example.org, ${OURS}` } });
  const status = () => `${api.server.url}/v1/clusters/c/status`;
  const ask = (origin: string) =>
    fetch(status(), {
      method: "OPTIONS",
      headers: {
        Origin: origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization,content-type",
      },
    });

  it("a page of an allowed origin may send a preflight request without a token", async () => {
    const { status, headers } = await ask(OURS);
    expect(status).toBe(204);
    expect(headers.get("Access-Control-Allow-Origin")).toBe(OURS);
    expect(headers.get("Access-Control-Allow-Methods")).toContain("PUT");
    expect(headers.get("Access-Control-Allow-Headers")?.toLowerCase()).toContain("authorization");
    expect(headers.get("Access-Control-Max-Age")).toBe("7200");
    expect(headers.has("Access-Control-Allow-Credentials")).toBe(false);
    expect(headers.get("Vary")).toContain("Origin");
  });

  it("such a page still needs a token, and may read the refusal", async () => {
    const refused = await fetch(status(), { headers: { Origin: OURS } });
    expect(refused.status).toBe(401);
    expect(refused.headers.get("Access-Control-Allow-Origin")).toBe(OURS);
    expect(refused.headers.get("Access-Control-Expose-Headers")).toContain("Retry-After");
    expect(await refused.json()).toMatchObject({ code: "unauthorized" });
  });

  it.each(["https://evil.example.org", "https://app.example.org.evil.com", "http://app.example.org", "null"])(
    "a page of %s is not allowed",
    async (origin) => {
      expect((await ask(origin)).headers.get("Access-Control-Allow-Origin")).toBeNull();
      const answer = await fetch(status(), {
        headers: { Origin: origin, Authorization: `Bearer ${api.server.adminToken}` },
      });
      expect(answer.headers.get("Access-Control-Allow-Origin")).toBeNull();
    },
  );
});

describe("with CORS_ORIGINS=*", () => {
  const api = apiOfThisFile({ env: { CORS_ORIGINS: "*" } });

  it("any page is allowed", async () => {
    const answer = await fetch(`${api.server.url}/healthz`, {
      headers: { Origin: "https://any.example.org" },
    });
    expect(answer.headers.get("Access-Control-Allow-Origin")).toBe("*");
  });
});
