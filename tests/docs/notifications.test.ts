/**
 * docs/notifications.md is true: its receivers accept signed requests and refuse tampered ones, its configurations
 * are valid, and each message that it shows is the one that the product makes of the incident shown there.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import {
  EmailNotificationConfig,
  WebhookNotificationConfig,
} from "../../src/contract/config/notification.ts";
import { defaultConfig } from "../../src/contract/config.ts";
import { Incident, IncidentEntry } from "../../src/contract/incident.ts";
import { AgentMessage } from "../../src/contract/message.ts";
import { Notification, NotificationTestAnswer } from "../../src/contract/notification.ts";
import type { AgentBroadcast, ChannelTools } from "../../src/notifications/channel.ts";
import { mailBody } from "../../src/notifications/email/email-message.ts";
import { MAIL_APIS } from "../../src/notifications/email/providers/registry.ts";
import { logChannel } from "../../src/notifications/log-channel.ts";
import type { NotificationMessage } from "../../src/notifications/notification-message.ts";
import { systemChannel } from "../../src/notifications/system-channel.ts";
import { cloudEvent } from "../../src/notifications/webhook/cloud-event.ts";
import { discordMessage } from "../../src/notifications/webhook/discord.ts";
import { pagerDutyEvents } from "../../src/notifications/webhook/pagerduty.ts";
import { signedHeaders } from "../../src/notifications/webhook/signature.ts";
import { slackMessage } from "../../src/notifications/webhook/slack.ts";
import { parseConfigFile } from "../../src/validation/configuration/config-file.ts";
import { fencedBlocks, inlineCode } from "../support/markdown.ts";

const PAGE = readFileSync(new URL("../../docs/notifications.md", import.meta.url), "utf8");
const BLOCKS = fencedBlocks(PAGE);
/** A receiver has to start, on a busy machine as well. */
const STARTUP_LIMIT_MS = 30_000;

/** The only block of that language, or, with `mark`, the only one that contains it. */
function block(language: string, mark = ""): string {
  const found = BLOCKS.filter((one) => one.language === language && one.text.includes(mark));
  expect(
    found.map(({ line }) => line),
    `${language} blocks with ${mark}`,
  ).toHaveLength(1);
  return found[0]?.text ?? "";
}

describe("the messages on the page", () => {
  const shownEvent = JSON.parse(block("text", '"specversion"'));
  const incident = Incident.parse(shownEvent.data.incident);
  const notice: NotificationMessage = {
    id: shownEvent.id,
    cluster: incident.cluster,
    kind: "incident",
    at: shownEvent.time,
    status: incident.status,
    severity: incident.severity,
    subject: shownEvent.data.summary,
    incidents: [incident],
    dashboardUrl: shownEvent.data.dashboard_url,
  };
  const tools = (more: Partial<ChannelTools>) => ({ config: defaultConfig(), ...more }) as ChannelTools;

  it("show a complete incident", () => {
    expect(Object.keys(shownEvent.data.incident)).toEqual(Object.keys(Incident.shape));
    const [entry] = shownEvent.data.incident.entries;
    expect(Object.keys(entry)).toEqual(Object.keys(IncidentEntry.shape));
  });

  it("are the webhook bodies of that incident, in each shape", () => {
    expect(shownEvent).toEqual(cloudEvent(notice));
    expect(JSON.parse(block("text", '"blocks"'))).toEqual(slackMessage(notice));
    expect(JSON.parse(block("text", '"embeds"'))).toEqual(discordMessage(notice));
    const shown = JSON.parse(block("text", '"event_action"'));
    expect([shown]).toEqual(pagerDutyEvents(notice, { routing_key: shown.routing_key }));
  });

  it("are the email texts of that incident", () => {
    const shown = block("text", "Subject: ");
    const id = /message\s+(\w+)\s*$/.exec(shown)?.[1] ?? "";
    const { subject, text } = mailBody({ ...notice, id });
    expect(shown).toBe(`Subject: ${subject}\n\n${text}`);
  });

  it("are the log lines of that incident", async () => {
    const shown = JSON.parse(block("text", '"event":"failure_notification"'));
    const lines: unknown[] = [];
    const log = {
      line: (level: string, event: string, fields: object) => void lines.push({ level, event, ...fields }),
    };
    await logChannel.deliver({ ...notice, id: shown.notification_id }, tools({ log }));
    expect(lines).toEqual([shown]);
  });

  it("are the broadcasts to agents about that incident", async () => {
    const shown = z.strictObject(AgentMessage.shape).parse(JSON.parse(block("text", '"message_type"')));
    const { notification_id: id } = shown.content as { notification_id: string };
    const broadcasts: unknown[] = [];
    const broadcast = ({ content }: AgentBroadcast) =>
      void broadcasts.push({ ...content, channel: "system" });
    await systemChannel.deliver({ ...notice, id }, tools({ broadcast }));
    expect(broadcasts).toEqual([shown.content]);
  });

  it("are valid delivery log entries and test results by the contract", () => {
    const item = z.strictObject(Notification.shape).parse(JSON.parse(block("text", '"try_count"')));
    expect(item).toMatchObject({ dedup_keys: [incident.dedup_key], subject: notice.subject });
    NotificationTestAnswer.parse(JSON.parse(block("text", '"results"')));
  });
});

describe("the configurations on the page", () => {
  const configurations = BLOCKS.filter(({ language }) => language === "json");

  it.each(configurations)("in line $line are valid and contain no secret", ({ text }) => {
    const parsed = parseConfigFile(text);
    if (!parsed.ok) throw new Error(parsed.errors.map(({ message }) => message).join("; "));
    expect(parsed.warnings.filter(({ message }) => message.includes("secret"))).toEqual([]);
  });

  it("cover each provider and each shape", () => {
    const providers = EmailNotificationConfig.shape.provider.unwrap().options;
    const presets = WebhookNotificationConfig.shape.preset.unwrap().options;
    const named = new Set(inlineCode(PAGE));
    for (const provider of providers.filter((name) => name !== "smtp")) expect(named).toContain(provider);
    const shown = configurations.map(({ text }) => /"preset": "(\w+)"/.exec(text)?.[1] ?? "cloudevents");
    for (const preset of presets) expect(shown).toContain(preset);
  });

  it("name the hosts of the providers' requests", () => {
    const mail = { from: "a@b.org", to: ["c@d.org"], subject: "s", text: "t", html: "h" };
    for (const [name, api] of Object.entries(MAIL_APIS)) {
      const { url } = api.request(mail, { ...defaultConfig().email_notification, api_key: "k" }, "id");
      expect(PAGE, name).toMatch(new RegExp(`^\\| \`${name}\` \\|.*\`${new URL(url).origin}\``, "m"));
    }
  });
});

/** The request that a receiver gets. */
type Signed = { id: string; timestamp: string; signature: string; body: string };

const SECRET = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
const OTHER_SECRET = `whsec_${Buffer.alloc(24, 2).toString("base64")}`;
const BODY = JSON.stringify({ specversion: "1.0", data: { summary: "agent1 → agent2 “%s” \\n" } });

/** Signed by the library that receivers use, so that our own signing does not judge itself. */
function signed({ secret = SECRET, ageSeconds = 0, id = "4430dafb", body = BODY } = {}): Signed {
  const at = new Date(Math.floor(Date.now() / 1000 - ageSeconds) * 1000);
  const signature = new Webhook(secret).sign(id, at, body);
  return { id, timestamp: String(at.getTime() / 1000), signature, body };
}

const both = (one: Signed, ...more: string[]): Signed => ({
  ...one,
  signature: [...more, one.signature].join(" "),
});

const GENUINE: Readonly<Record<string, () => Signed>> = {
  "a signed request": () => signed(),
  "one that is signed with two keys, ours last": () =>
    both(signed(), signed({ secret: OTHER_SECRET }).signature),
  "one that is signed in a newer way too": () => both(signed(), "v1a,AAAA", "v2,AAAA"),
  "one that was on its way for four minutes": () => signed({ ageSeconds: 240 }),
  "one from a clock that is four minutes ahead": () => signed({ ageSeconds: -240 }),
};

const REFUSED: Readonly<Record<string, () => Signed>> = {
  "a changed body": () => ({ ...signed(), body: BODY.replace("agent2", "agent3") }),
  "another message's id": () => ({ ...signed(), id: "4430dafc" }),
  "a changed timestamp": () => ({ ...signed({ ageSeconds: 2 }), timestamp: signed().timestamp }),
  "another key": () => signed({ secret: OTHER_SECRET }),
  "a replay after six minutes": () => signed({ ageSeconds: 360 }),
  "a request from six minutes ahead": () => signed({ ageSeconds: -360 }),
  "a timestamp that is no number": () => ({ ...signed(), timestamp: "now" }),
  "no signature": () => ({ ...signed(), signature: "" }),
  "an empty signature": () => ({ ...signed(), signature: "v1," }),
  "a signature cut short": () => ({ ...signed(), signature: signed().signature.slice(0, -4) }),
  "a signature in no known way": () => ({ ...signed(), signature: signed().signature.replace("v1", "v2") }),
  "no id": () => ({ ...signed({ id: "" }), id: "" }),
};

/** Whether a receiver accepts a request as genuine. */
type Judge = (request: Signed) => Promise<boolean> | boolean;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "failover-receivers-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const hasCommand = (command: string, version: string) => spawnSync(command, [version]).status === 0;

function itJudges(judge: () => Judge): void {
  it.each(Object.entries(GENUINE))("accepts %s", async (_, request) => {
    expect(await judge()(request())).toBe(true);
  });

  it.each(Object.entries(REFUSED))("refuses %s", async (_, request) => {
    expect(await judge()(request())).toBe(false);
  });

  it("accepts requests of the product during a key change, with either key", async () => {
    const timestampSeconds = Math.floor(Date.now() / 1000);
    for (const secrets of [
      { secret: SECRET, previous_secret: OTHER_SECRET },
      { secret: OTHER_SECRET, previous_secret: SECRET },
    ]) {
      const signing = await signedHeaders({ id: "message-1", timestampSeconds, body: BODY, secrets });
      if (!signing.isSigned) throw new Error("both keys are usable");
      const {
        "webhook-id": id = "",
        "webhook-timestamp": timestamp = "",
        "webhook-signature": signature = "",
      } = signing.headers;
      expect(await judge()({ id, timestamp, signature, body: BODY })).toBe(true);
    }
  });
}

const RECEIVERS = [
  { language: "js", file: "receiver.mjs", command: process.execPath, version: "--version" },
  { language: "python", file: "receiver.py", command: "python3", version: "--version" },
] as const;

describe.each(RECEIVERS)("the receiver in $language", ({ language, file, command, version }) => {
  describe.skipIf(!hasCommand(command, version))(`run with ${language === "js" ? "Node" : command}`, () => {
    let receiver: ChildProcess;
    let url = "";

    beforeAll(async () => {
      const path = join(folder, file);
      writeFileSync(path, block(language));
      receiver = spawn(command, [path], {
        env: { PATH: process.env.PATH, HOME: process.env.HOME, PORT: "0", WEBHOOK_SECRET: SECRET },
        stdio: ["ignore", "pipe", "pipe"],
      });
      receiver.stderr?.resume();
      const lines = createInterface({ input: receiver.stdout ?? process.stdin });
      const [first] = await Promise.race([once(lines, "line"), once(receiver, "exit")]);
      const port = /^listening on (\d+)$/.exec(String(first))?.[1];
      if (port === undefined) throw new Error(`the receiver said ${first}`);
      url = `http://127.0.0.1:${port}/`;
    }, STARTUP_LIMIT_MS);
    afterAll(async () => {
      if (receiver.exitCode !== null || !receiver.kill("SIGKILL")) return;
      await once(receiver, "exit");
    });

    itJudges(() => async ({ id, timestamp, signature, body }) => {
      const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
      const given = Object.entries(headers).filter(([, value]) => value !== "");
      const { status } = await fetch(url, { method: "POST", headers: Object.fromEntries(given), body });
      expect([204, 401]).toContain(status);
      return status === 204;
    });

    it("does not start without a key", () => {
      const env = { PATH: process.env.PATH, HOME: process.env.HOME, PORT: "0", WEBHOOK_SECRET: "" };
      const { status } = spawnSync(command, [join(folder, file)], { env, timeout: STARTUP_LIMIT_MS });
      expect(status).toBe(1);
    });
  });
});

describe.skipIf(!hasCommand("openssl", "version"))("the check in bash, run with openssl", () => {
  const judge =
    (secret: string): Judge =>
    ({ id, timestamp, signature, body }) => {
      writeFileSync(join(folder, "body.json"), body);
      const { status, stdout } = spawnSync("bash", ["-e", "-u", "-o", "pipefail", "-c", block("bash")], {
        cwd: folder,
        env: {
          PATH: process.env.PATH,
          WEBHOOK_ID: id,
          WEBHOOK_TIMESTAMP: timestamp,
          WEBHOOK_SIGNATURE: signature,
          WEBHOOK_SECRET: secret,
        },
        encoding: "utf8",
      });
      expect([stdout, status]).toEqual(status === 0 ? ["genuine\n", 0] : ["", 1]);
      return status === 0;
    };

  itJudges(() => judge(SECRET));

  it("accepts a key without prefix and padding", () => {
    expect(judge(SECRET.replace("whsec_", "").replace(/=+$/, ""))(signed())).toBe(true);
  });

  it("refuses every request without a key", () => {
    expect(judge("")(signed())).toBe(false);
    expect(judge("")({ ...signed(), signature: "v1," })).toBe(false);
  });
});

if (!hasCommand("python3", "--version")) console.warn("python3 is missing: its receiver is not run");
if (!hasCommand("openssl", "version")) console.warn("openssl is missing: the check in bash is not run");
