/** The bodies of the presets, checked against the documentation of their receivers. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cloudEvent, MAX_INCIDENTS } from "../../../../src/notifications/webhook/cloud-event.ts";
import { discordMessage } from "../../../../src/notifications/webhook/discord.ts";
import { pagerDutyEvents } from "../../../../src/notifications/webhook/pagerduty.ts";
import { slackMessage } from "../../../../src/notifications/webhook/slack.ts";
import {
  entryWith,
  incidentWith,
  largestIncident,
  noticeWith,
  resolvedIncident,
} from "../../../support/notices.ts";

const ROUTING = { routing_key: "0123456789abcdef0123456789abcdef" };
const HOSTILE = [
  "<!channel> <!here> <@U123> <https://evil.example|click> @everyone @here",
  "</script><img src=x onerror=alert(1)>",
  "[click](https://evil.example) **bold** `code` ||spoiler|| \\",
  "line\nbreak\r\u0000\u001b[2J\u202etxt.exe\u2066\u2028",
  "&lt;!channel&gt; &amp;",
].join(" ");
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

const digest = (count: number) =>
  noticeWith({
    kind: "digest",
    subject: `${count} incidents`,
    incidents: Array.from({ length: count }, (_, number) =>
      incidentWith({ dedup_key: `demo/incident-${number}`, summary: `summary ${number}` }),
    ),
  });
const hostileText = fc.oneof(
  fc.constant(HOSTILE),
  fc.constant("&".repeat(4096)),
  fc.constant("@everyone".repeat(450)),
  fc.string({ unit: "binary", maxLength: 4096 }),
  fc.string({
    unit: fc.constantFrom("<", "!", "*", "\\", "`", "@", "channel", "😀", "\u202e"),
    maxLength: 900,
  }),
);
/** The largest notifications of every kind, with this text in every field that an agent can write. */
const largestNotices = (text: string) => {
  const largest = largestIncident(text);
  const incidents = Array.from({ length: 60 }, () => largest);
  const dashboardUrl = `https://coordinator.example/?${"q&".repeat(1000)}`;
  return [
    noticeWith({ subject: text, incidents: [largest], dashboardUrl }),
    noticeWith({ kind: "test", subject: text, incidents: [largest], dashboardUrl }),
    noticeWith({ kind: "digest", subject: text, incidents, dashboardUrl }),
  ];
};

describe("a CloudEvents body", () => {
  it("has the required attributes, and describes the incident", () => {
    const notice = noticeWith();
    expect(cloudEvent(notice)).toEqual({
      specversion: "1.0",
      id: "notice-1",
      source: "/v1/clusters/demo",
      type: "failover.incident.firing",
      subject: "demo/incident-1",
      time: "2026-01-31T09:05:05.000Z",
      datacontenttype: "application/json",
      data: {
        kind: "incident",
        status: "firing",
        severity: "error",
        summary: "worker-7 failed",
        incident: notice.incidents[0],
        dashboard_url: "https://coordinator.example/?a=1&b=2",
      },
    });
  });

  it("has a type for each kind and status", () => {
    expect(cloudEvent(noticeWith({ incidents: [resolvedIncident()] })).type).toBe(
      "failover.incident.resolved",
    );
    expect(cloudEvent(noticeWith({ kind: "test" })).type).toBe("failover.test");
    expect(cloudEvent(digest(2)).type).toBe("failover.digest");
  });

  it("lists the incidents of a digest, has no subject then, and counts the omitted ones", () => {
    const event = cloudEvent(digest(MAX_INCIDENTS + 7));
    expect(event).not.toHaveProperty("subject");
    expect(event.data).not.toHaveProperty("incident");
    expect(event.data).toMatchObject({ incidents_omitted: 7 });
    expect("incidents" in event.data && event.data.incidents).toHaveLength(MAX_INCIDENTS);
  });

  it("has attributes that are non-empty strings, as the specification requires", () => {
    for (const notice of [noticeWith(), noticeWith({ kind: "test" }), digest(3), digest(0)]) {
      const { data, ...attributes } = cloudEvent(notice);
      expect(data).toBeTypeOf("object");
      for (const [name, value] of Object.entries(attributes)) {
        expect(name).toMatch(/^[a-z0-9]{1,20}$/);
        expect(value.length, name).toBeGreaterThan(0);
      }
    }
  });
});

describe("a Slack message", () => {
  const textsOf = (message: ReturnType<typeof slackMessage>) =>
    message.blocks.flatMap((block) => (block.type === "context" ? block.elements : [block.text]));

  it("has a text for notifications, a header, a section for each question, and a context", () => {
    const { text, blocks } = slackMessage(noticeWith());
    expect(text).toBe("Error: worker-7 failed\nsince 2026-01-31 09:05:00 UTC");
    expect(blocks.map(({ type }) => type)).toEqual(["header", ...Array(6).fill("section"), "context"]);
    expect(blocks[0]).toEqual({
      type: "header",
      text: { type: "plain_text", text: "🟠 Error: worker-7 failed", emoji: false },
    });
    expect(blocks[3]).toEqual({
      type: "section",
      text: {
        type: "mrkdwn",
        verbatim: true,
        text: "*What moved*\n• worker-7 → worker-8: task-1\n• worker-7 → worker-9: task-2",
      },
    });
    expect(blocks.at(-1)).toEqual({
      type: "context",
      elements: [
        {
          type: "mrkdwn",
          verbatim: true,
          text: "cluster demo · demo/incident-1 · <https://coordinator.example/?a=1&amp;b=2|Dashboard>",
        },
      ],
    });
  });

  it("begins with the fact that an incident is resolved", () => {
    const { text, blocks } = slackMessage(noticeWith({ incidents: [resolvedIncident()] }));
    expect(text).toContain("Resolved:");
    expect(JSON.stringify(blocks[0])).toContain("🟢 Resolved: worker-7 failed");
  });

  it("of a test says that nothing failed", () => {
    expect(JSON.stringify(slackMessage(noticeWith({ kind: "test" })).blocks[1])).toContain("This is a test");
  });

  it("of a digest has a section for each incident, and counts the omitted ones", () => {
    const { blocks } = slackMessage(digest(20));
    expect(blocks[1]).toMatchObject({ text: { text: expect.stringContaining("*Error: summary 0*\nsince") } });
    expect(JSON.stringify(blocks.at(-2))).toContain("and 5 more incidents");
    expect(JSON.stringify(slackMessage(digest(15)))).not.toContain("more incident");
  });

  it("mentions no person and links nothing in a text of an agent", () => {
    const message = slackMessage(
      noticeWith({
        incidents: [incidentWith({ summary: HOSTILE, entries: [entryWith({ message: HOSTILE })] })],
      }),
    );
    for (const text of [message.text, ...textsOf(message).map((object) => object.text)]) {
      const ours = text.replace(/<https:\/\/coordinator\.example\/\?a=1&amp;b=2\|Dashboard>$/, "");
      expect(ours).not.toMatch(/[<>]/);
      expect(ours).not.toMatch(/@(?:channel|here|everyone)/i);
      expect(ours).not.toMatch(/&(?!amp;|lt;|gt;)/);
      expect(ours.replaceAll("\n", "")).not.toMatch(UNPRINTABLE);
    }
    expect(message.text).toContain("&lt;!channel&gt;");
    expect(message.text).toContain("&amp;lt;!channel&amp;gt;");
  });

  it("stays within Slack's limits for any text of agents", () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        for (const notice of largestNotices(text)) {
          const message = slackMessage(notice);
          expect(message.blocks.length).toBeLessThanOrEqual(50);
          expect(message.text.length).toBeLessThanOrEqual(1000);
          for (const block of message.blocks) {
            if (block.type === "context") expect(block.elements.length).toBeLessThanOrEqual(10);
            for (const object of block.type === "context" ? block.elements : [block.text]) {
              expect(object.text.length).toBeGreaterThan(0);
              expect(object.text.length).toBeLessThanOrEqual(block.type === "header" ? 150 : 3000);
            }
          }
          const total = textsOf(message).reduce((sum, object) => sum + object.text.length, 0);
          expect(total).toBeLessThanOrEqual(11_000);
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe("a Discord message", () => {
  it("is one embed with a title, fields for what happened, and a colour", () => {
    const { content, embeds, allowed_mentions } = discordMessage(noticeWith());
    expect(content).toBe("");
    expect(allowed_mentions).toEqual({ parse: [] });
    expect(embeds).toEqual([
      {
        title: "Error: worker-7 failed",
        description:
          "since 2026-01-31 09:05:00 UTC\nworker-7 failed, 2 tasks moved, 1 task found no agent, 1 lock released\ngroups: eu \\(1\\)",
        url: "https://coordinator.example/?a=1&b=2",
        color: 0xe67e22,
        timestamp: "2026-01-31T09:05:05.000Z",
        fields: [
          { name: "What failed", value: expect.stringContaining("worker-7"), inline: false },
          {
            name: "What moved",
            value: "• worker-7 → worker-8: task-1\n• worker-7 → worker-9: task-2",
            inline: false,
          },
          {
            name: "Tasks without an agent",
            value: "1 task of worker-7 found no agent: task-3",
            inline: false,
          },
          { name: "Locks", value: expect.stringContaining("1 lock"), inline: false },
          { name: "What to do", value: expect.stringContaining("Restart worker-7"), inline: false },
        ],
        footer: { text: "cluster demo · demo/incident-1" },
      },
    ]);
  });

  it("has a colour for each severity, and one for resolved", () => {
    const notices = [
      ...(["info", "warning", "error", "critical"] as const).map((severity) => noticeWith({ severity })),
      noticeWith({ incidents: [resolvedIncident()] }),
    ];
    const colours = notices.map((notice) => discordMessage(notice).embeds[0]?.color);
    expect(new Set(colours).size).toBe(5);
  });

  it("of a digest is a list, of a test says that nothing failed", () => {
    const [embed] = discordMessage(digest(200)).embeds;
    expect(embed?.title).toBe("200 incidents");
    expect(embed?.fields).toEqual([]);
    expect(embed?.description).toContain("• Error: summary 0: since");
    expect(embed?.description).toMatch(/… and \d+ more$/);
    expect(discordMessage(noticeWith({ kind: "test" })).embeds[0]?.description).toContain("This is a test");
  });

  it("makes no link, mention or formatting of a text of an agent", () => {
    const [embed] = discordMessage(
      noticeWith({
        incidents: [incidentWith({ summary: HOSTILE, entries: [entryWith({ message: HOSTILE })] })],
      }),
    ).embeds;
    const texts = [embed?.title, embed?.description, ...(embed?.fields.map(({ value }) => value) ?? [])];
    for (const text of texts) {
      const unescaped = (text ?? "").replace(/\\[\\*_~`|<>[\]()#@]/g, "");
      expect(unescaped).not.toMatch(/[\\*_~`|<>[\]()#@]/);
      expect(unescaped.replaceAll("\n", "")).not.toMatch(UNPRINTABLE);
    }
  });

  it("stays within Discord's limits for any text of agents", () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        for (const notice of largestNotices(text)) {
          const { embeds } = discordMessage(notice);
          expect(embeds).toHaveLength(1);
          for (const { title, description, fields, footer } of embeds) {
            expect(title.length).toBeGreaterThan(0);
            expect(title.length).toBeLessThanOrEqual(256);
            expect(description.length).toBeLessThanOrEqual(4096);
            expect(fields.length).toBeLessThanOrEqual(25);
            expect(footer.text.length).toBeLessThanOrEqual(2048);
            for (const { name, value } of fields) {
              expect(name.length).toBeLessThanOrEqual(256);
              expect(value.length).toBeGreaterThan(0);
              expect(value.length).toBeLessThanOrEqual(1024);
            }
            const inFields = fields.map(({ name, value }) => name + value);
            expect([title, description, footer.text, ...inFields].join("").length).toBeLessThanOrEqual(6000);
          }
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe("PagerDuty events", () => {
  it("trigger an alert that describes the incident", () => {
    const link = "https://coordinator.example/?a=1&b=2";
    expect(pagerDutyEvents(noticeWith(), ROUTING)).toEqual([
      {
        routing_key: ROUTING.routing_key,
        event_action: "trigger",
        dedup_key: "demo/incident-1",
        payload: {
          summary: "Error: worker-7 failed",
          source: "demo",
          severity: "error",
          timestamp: "2026-01-31T09:05:00.000Z",
          component: "worker-7",
          group: "eu",
          class: "heartbeat_timeout",
          custom_details: {
            when: "since 2026-01-31 09:05:00 UTC",
            counts: "worker-7 failed, 2 tasks moved, 1 task found no agent, 1 lock released",
            groups: "eu (1)",
            what_failed: [expect.stringContaining("worker-7 (group eu) stopped sending heartbeats")],
            what_moved: ["worker-7 → worker-8: task-1", "worker-7 → worker-9: task-2"],
            what_is_stranded: ["1 task of worker-7 found no agent: task-3"],
            locks: expect.stringContaining("1 lock"),
            what_to_do: [expect.stringContaining("Start an agent"), "Restart worker-7"],
          },
        },
        links: [{ href: link, text: "Dashboard" }],
        client_url: link,
        client: "failover-coordinator",
      },
    ]);
  });

  it("resolve the same alert by the same key", () => {
    const [event] = pagerDutyEvents(noticeWith({ incidents: [resolvedIncident()] }), ROUTING);
    expect(event).toMatchObject({ event_action: "resolve", dedup_key: "demo/incident-1" });
  });

  it("of a digest are one for each incident, each with its own action", () => {
    const incidents = [incidentWith(), { ...resolvedIncident(), dedup_key: "demo/incident-2" }];
    const events = pagerDutyEvents(noticeWith({ kind: "digest", incidents }), ROUTING);
    expect(events.map(({ event_action, dedup_key }) => [event_action, dedup_key])).toEqual([
      ["trigger", "demo/incident-1"],
      ["resolve", "demo/incident-2"],
    ]);
  });

  it("of a test open an alert of the lowest severity, and resolve it", () => {
    const events = pagerDutyEvents(noticeWith({ kind: "test", subject: "A test" }), ROUTING);
    expect(events.map(({ event_action }) => event_action)).toEqual(["trigger", "resolve"]);
    expect(new Set(events.map(({ dedup_key }) => dedup_key)).size).toBe(1);
    expect(events[0]?.payload).toMatchObject({ summary: "A test", severity: "info" });
  });

  it("keep long keys distinct, and within the limit", () => {
    const keyOf = (dedup_key: string) =>
      pagerDutyEvents(noticeWith({ incidents: [incidentWith({ dedup_key })] }), ROUTING)[0]?.dedup_key ?? "";
    const [one, other] = [keyOf(`${"k".repeat(300)}1`), keyOf(`${"k".repeat(300)}2`)];
    expect(one).not.toBe(other);
    expect(one.length).toBeLessThanOrEqual(255);
    expect(keyOf("k".repeat(255))).toBe("k".repeat(255));
  });

  it("stay within PagerDuty's limits for any text of agents", () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        for (const notice of largestNotices(text)) {
          // Each incident has an event of its own, and the incidents of the largest message are alike.
          const incidents = notice.incidents.slice(0, 2);
          for (const event of pagerDutyEvents({ ...notice, incidents }, ROUTING)) {
            expect(event.payload.summary.length).toBeGreaterThan(0);
            expect(event.payload.summary.length).toBeLessThanOrEqual(1024);
            expect(event.dedup_key.length).toBeLessThanOrEqual(255);
            expect(new TextEncoder().encode(JSON.stringify(event)).length).toBeLessThan(512 * 1024);
            expect(JSON.stringify(event)).not.toMatch(/\\u00|\\n/);
          }
        }
      }),
      { numRuns: 20 },
    );
  });
});
