/** The line that `npm start` prints for a first agent, run in a shell as a new user would. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../support/groups.ts";
import { ProcessGroup } from "../support/process-group.ts";
import { startServer, TEST_ADMIN_TOKEN } from "../support/server.ts";
import { until } from "../support/until.ts";

const lineOf = (output: string) => /^first agent: (.+)$/m.exec(output)?.[1] ?? "";

async function agentsOf(url: string, token: string): Promise<string[]> {
  const answer = await fetch(`${url}/v1/clusters/default/agents`, {
    headers: { Authorization: `Bearer ${token}` },
  });
  const { items } = (await answer.json()) as { items: { id: string; status: string }[] };
  return items.map(({ id, status }) => `${id} ${status}`);
}

describe("the printed line", () => {
  it("starts an agent with the token from the data folder, whose path may be any", async () => {
    const dataDir = join(temporaryFolder("it's a folder "), "data");
    await using server = await startServer({ dataDir, env: { ADMIN_TOKEN: "", SIGNING_KEY: "" } });
    const secrets = JSON.parse(readFileSync(join(dataDir, "secrets.json"), "utf8")) as {
      admin_token: string;
    };
    await using _agent = new ProcessGroup("sh", ["-c", lineOf(server.output())], { env: process.env });
    await until(
      async () => (await agentsOf(server.url, secrets.admin_token)).includes("agent1 active"),
      "the agent",
    );
    expect(server.output()).not.toContain(secrets.admin_token);
  });

  it("starts an agent with the token that the user has set", async () => {
    await using server = await startServer();
    const env = { ...process.env, ADMIN_TOKEN: TEST_ADMIN_TOKEN };
    await using _agent = new ProcessGroup("sh", ["-c", lineOf(server.output())], { env });
    await until(
      async () => (await agentsOf(server.url, TEST_ADMIN_TOKEN)).includes("agent1 active"),
      "the agent",
    );
  });
});
