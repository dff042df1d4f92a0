/** The secrets without which a deployment answers no route under /v1. */
import { expect, it } from "vitest";
import { secretsIn } from "../../../worker/tokens.ts";

const KEY = "signing-key-0123456789";

it("both secrets are needed, and an admin token of at least 16 characters", () => {
  const notConfigured = (detail: string) => ({
    ok: false,
    problem: { code: "not_configured", detail: expect.stringContaining(detail) },
  });
  expect(secretsIn({ SIGNING_KEY: KEY })).toEqual(notConfigured("are not both set"));
  expect(secretsIn({ ADMIN_TOKEN: "token-0123456789", SIGNING_KEY: "" })).toEqual(
    notConfigured("are not both set"),
  );
  expect(secretsIn({ ADMIN_TOKEN: "token-012345678", SIGNING_KEY: KEY })).toEqual(
    notConfigured("fewer than 16 characters"),
  );
  expect(secretsIn({ ADMIN_TOKEN: "token-0123456789", SIGNING_KEY: KEY })).toEqual({
    ok: true,
    value: { adminToken: "token-0123456789", signingKey: KEY },
  });
});
