/** What docs/agents.md and the READMEs say of agents on sockets, held against the contract. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  AgentFrame,
  BATCH_FRAME_LIMIT_CHARACTERS,
  BATCH_FRAMES_LIMIT,
  BatchFrame,
  CLOSE_CODES,
  FRAME_LIMIT_CHARACTERS,
  REVOCATION_REASONS,
  ServerFrame,
} from "../../src/contract/socket.ts";
import { fencedBlocks } from "../support/markdown.ts";
import { PROJECT_ROOT } from "../support/server.ts";

describe("docs/agents.md and the READMEs", () => {
  const read = (...path: string[]) => readFileSync(join(PROJECT_ROOT, ...path), "utf8");
  const agentsPage = read("docs", "agents.md");

  it("show in the README the agent that the client's README shows, which is run from there", () => {
    const program = fencedBlocks(read("client", "README.md")).find(({ language }) => language === "js")?.text;
    expect(program).toContain("new Agent(");
    expect(fencedBlocks(read("README.md")).map(({ text }) => text)).toContain(program);
  });

  it("name every frame, reason, close code and bound of a socket", () => {
    const asked = [...AgentFrame.options, BatchFrame];
    const rows = [...asked, ...ServerFrame.options].map(({ shape }) => shape.type.value);
    for (const type of rows) expect(agentsPage).toMatch(new RegExp(`^\\| (?:\`ack\`, )?\`${type}\``, "m"));
    for (const { shape } of asked) {
      const row = agentsPage.split("\n").find((line) => line.startsWith(`| \`${shape.type.value}\` |`)) ?? "";
      const names = Object.keys(shape).filter((name) => !["type", "request_id"].includes(name));
      for (const name of names) expect(row).toContain(`\`${name}\``);
    }
    for (const reason of REVOCATION_REASONS) expect(agentsPage).toContain(`\`${reason}\``);
    for (const [reason, code] of Object.entries(CLOSE_CODES))
      expect(agentsPage).toContain(`| ${code} | \`${reason}\` |`);
    for (const limit of [FRAME_LIMIT_CHARACTERS, BATCH_FRAME_LIMIT_CHARACTERS, BATCH_FRAMES_LIMIT])
      expect(agentsPage).toContain(limit.toLocaleString("en"));
  });

  it("show frames as they are", () => {
    const frames = fencedBlocks(agentsPage)
      .filter(({ language, text }) => language === "text" && /^[<>] /.test(text))
      .flatMap(({ text }) => text.trim().split(/\n(?=[<>] )/));
    expect(frames.length).toBeGreaterThan(10);
    frames.forEach((frame, at) => {
      const value: unknown = JSON.parse(frame.slice(2));
      const checked = (frame.startsWith(">") ? AgentFrame : ServerFrame).safeParse(value);
      const isRefused = frames[at + 1]?.includes('"code":"invalid_request"') ?? false;
      expect(checked.success, frame).toBe(!isRefused);
      if (checked.success) expect(checked.data, frame).toEqual(value);
    });
  });
});
