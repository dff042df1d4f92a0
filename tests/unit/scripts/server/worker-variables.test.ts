import { describe, expect, it } from "vitest";
import { variablesFile, workerVariables } from "../../../../scripts/server/worker-variables.ts";

const sources = {
  settings: {
    host: "127.0.0.1",
    port: 8787,
    dataDir: "/data",
    adminToken: null,
    signingKey: null,
    allowLocalTargets: false,
    publicUrl: null,
    corsOrigins: [],
    extraCertificatesFile: null,
    bundleDir: null,
  },
  secrets: { adminToken: "the-token", signingKey: "the-key", adminTokenFile: null },
  origin: "http://127.0.0.1:8787",
  bootId: "boot-1",
  devVarNames: [],
  secretNames: [],
  variables: {},
};
const own = {
  ADMIN_TOKEN: "the-token",
  SIGNING_KEY: "the-key",
  BOOT_ID: "boot-1",
  ALLOW_LOCAL_TARGETS: "false",
  PUBLIC_URL: "http://127.0.0.1:8787",
  CORS_ORIGINS: "",
};

describe("the variables of the Worker", () => {
  it("are only the fixed ones if no other variable is named", () => {
    expect(workerVariables({ ...sources, variables: { PATH: "/bin", HOME: "/root" } })).toEqual(own);
  });

  it("include those in .dev.vars and those that the configuration names", () => {
    const variables = { IN_FILE: "a", NAMED: "b", OTHER: "c" };
    const secretNames = ["NAMED", "UNSET", "constructor"];
    expect(workerVariables({ ...sources, devVarNames: ["IN_FILE"], secretNames, variables })).toEqual({
      ...own,
      IN_FILE: "a",
      NAMED: "b",
    });
  });

  it("cannot be replaced, and do not include the other settings", () => {
    const variables = { ADMIN_TOKEN: "x", BOOT_ID: "x", PORT: "1" };
    expect(workerVariables({ ...sources, devVarNames: Object.keys(variables), variables })).toEqual(own);
  });
});

describe("the file of variables for wrangler", () => {
  it("quotes each value with a mark that the value does not contain, and escapes the dollar sign", () => {
    const outcome = variablesFile({ A: "plain", B: "it's", C: "`'", D: "a$B $C", E: "two\nlines" });
    expect(outcome).toEqual({
      ok: true,
      value: "A='plain'\nB=`it's`\nC=\"`'\"\nD='a\\$B \\$C'\nE='two\nlines'\n",
    });
  });

  it("is refused if a value contains every mark", () => {
    expect(variablesFile({ A: "'\"`" })).toMatchObject({ ok: false, exitCode: 2 });
    expect(variablesFile({ A: "'`\\n" })).toMatchObject({ ok: false, exitCode: 2 });
  });
});
