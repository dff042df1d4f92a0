/** The content of an email and its layout: on a phone, in a conversation, and with hostile text in it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Incident, IncidentEntry } from "../../../../src/contract/incident.ts";
import { mailBody } from "../../../../src/notifications/email/email-message.ts";
import { html } from "../../../../src/notifications/email/html-escape.ts";
import type { NotificationMessage } from "../../../../src/notifications/notification-message.ts";
import { cases } from "../../../support/cases.ts";

const RUNS = cases(100, 300);
/** Gmail hides the text beyond this size. */
const GMAIL_SHOWS_BYTES = 102_400;
const MAX_LINE_CHARACTERS = 78;

const OPENED_AT = "2026-11-22T17:03:11.204Z";

function entryOf(more: Partial<IncidentEntry> = {}): IncidentEntry {
  return {
    agent_id: "planner-1",
    task_id: null,
    group: "eu",
    failure_id: "failure-1",
    failure_type: "heartbeat_timeout",
    severity: "error",
    message: "no heartbeat for 33 s (timeout 30 s)",
    status: "failed",
    failures: 1,
    failed_at: OPENED_AT,
    last_failed_at: OPENED_AT,
    last_sign_of_life_at: "2026-11-22T17:02:38.010Z",
    recovered_at: null,
    ended_by: null,
    tasks_reassigned: 0,
    tasks_pending: 0,
    tasks_failed: 0,
    locks_released: 0,
    moved: [],
    stranded: [],
    ...more,
  };
}

function incidentOf(more: Partial<Incident> = {}): Incident {
  return {
    dedup_key: "default/2026-11-22/1",
    cluster: "default",
    status: "firing",
    severity: "critical",
    summary: "3 agents failed in cluster default",
    opened_at: OPENED_AT,
    updated_at: "2026-11-22T17:03:16.400Z",
    resolved_at: null,
    failures: 3,
    agents_failed: 3,
    agents_recovered: 0,
    agents_flapping: 0,
    failed_task_entries: 0,
    groups: { eu: 2, us: 1 },
    tasks_reassigned: 3,
    tasks_pending: 1,
    tasks_failed: 0,
    locks_released: 2,
    entries: [
      entryOf({
        severity: "critical",
        tasks_reassigned: 2,
        locks_released: 2,
        moved: [
          { task_id: "plan-4711", to: "planner-2" },
          { task_id: "plan-4712", to: "planner-2" },
        ],
      }),
      entryOf({
        agent_id: "render-gpu-7",
        tasks_reassigned: 1,
        tasks_pending: 1,
        moved: [{ task_id: "render-88", to: "render-gpu-2" }],
        stranded: ["render-89-hdr"],
      }),
      entryOf({ agent_id: "crawler-3", group: "us", failure_type: "connection_lost" }),
    ],
    entries_omitted: 0,
    ...more,
  };
}

const RESOLVED = incidentOf({
  status: "resolved",
  resolved_at: "2026-11-22T17:31:00.000Z",
  agents_recovered: 3,
  tasks_pending: 0,
  entries: incidentOf().entries.map((entry) => ({
    ...entry,
    status: "recovered",
    ended_by: "returned",
    recovered_at: "2026-11-22T17:29:00.000Z",
    tasks_pending: 0,
    stranded: [],
  })),
});

function noticeOf(more: Partial<NotificationMessage> = {}): NotificationMessage {
  return {
    id: "message-1",
    cluster: "default",
    kind: "incident",
    at: "2026-11-22T17:03:16.900Z",
    status: "firing",
    severity: "critical",
    subject: "3 agents failed in cluster default",
    incidents: [incidentOf()],
    dashboardUrl: "https://failover.company.org/",
    ...more,
  };
}

const resolvedNotice = noticeOf({ status: "resolved", incidents: [RESOLVED] });
const digestNotice = noticeOf({ kind: "digest", incidents: [incidentOf(), RESOLVED] });
const testNotice = noticeOf({ kind: "test", severity: "info" });

/** Lines that are too long, except a word that is an id or a link. */
function tooLong(text: string): string[] {
  return text
    .split("\n")
    .filter((line) => line.length > MAX_LINE_CHARACTERS)
    .filter(
      (line) => !/^(?:Dashboard:|-|\d+\.)? *\(?(?:https?:\/\/\S+|[A-Za-z0-9][\w.:/-]*)[),;]*$/.test(line),
    );
}

const tagsOf = (page: string) => page.match(/<[^>]*>/g) ?? [];

const titlesOf = (text: string) => text.split("\n").filter((line) => /^[A-Z][A-Z ]+$/.test(line));

describe("the subject of an email", () => {
  it("has the severity, the number of failures, and the cluster", () => {
    expect(mailBody(noticeOf()).subject).toBe("[critical] 3 agents failed in cluster default");
  });

  it("changes only its tag when the incident is resolved, so that both are one conversation", () => {
    expect(mailBody(resolvedNotice).subject).toBe("[resolved] 3 agents failed in cluster default");
  });

  it("names an agent or a task that failed alone", () => {
    const subjectOf = (incident: Partial<Incident>) =>
      mailBody(noticeOf({ severity: "error", incidents: [incidentOf(incident)] })).subject;
    expect(subjectOf({ agents_failed: 1, entries: [entryOf()] })).toBe(
      "[error] planner-1 failed in cluster default",
    );
    const ofTask = entryOf({ task_id: "plan-4711" });
    expect(subjectOf({ agents_failed: 0, failed_task_entries: 1, entries: [ofTask] })).toBe(
      "[error] Task plan-4711 failed in cluster default",
    );
    expect(subjectOf({ agents_failed: 2, failed_task_entries: 1 })).toBe(
      "[error] 2 agents and 1 task failed in cluster default",
    );
    expect(subjectOf({ agents_failed: 0, failures: 1, entries: [] })).toBe(
      "[error] 1 failure in cluster default",
    );
  });

  it("differs for a digest and a test", () => {
    expect(mailBody(digestNotice).subject).toBe("[digest] 2 incidents in cluster default, up to critical");
    expect(mailBody({ ...digestNotice, status: "resolved" }).subject).toBe(
      "[digest] 2 incidents in cluster default, all resolved",
    );
    expect(mailBody(testNotice).subject).toBe("[test] Notifications of cluster default");
  });

  it("is one line of at most 150 characters for names of any length", () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom("a", "\r", "\n", "\0", "\u2028", "\u202e", "<", "😀"),
          maxLength: 300,
        }),
        (name) => {
          const incidents = [incidentOf({ agents_failed: 1, entries: [entryOf({ agent_id: name })] })];
          const { subject } = mailBody(noticeOf({ cluster: name, incidents }));
          expect(subject.length).toBeLessThanOrEqual(150);
          expect(subject).not.toMatch(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202e]/u);
        },
      ),
      RUNS,
    );
  });
});

describe("the text of an email", () => {
  const { text } = mailBody(noticeOf());

  it("lists what failed, since when, what moved, what is stranded and what to do, in this order", () => {
    expect(titlesOf(text)).toEqual([
      "WHAT FAILED",
      "SINCE WHEN",
      "WHAT MOVED WHERE",
      "TASKS WITHOUT AN AGENT",
      "LOCKS",
      "WHAT TO DO",
    ]);
    for (const word of [
      "planner-1",
      "render-gpu-7",
      "crawler-3",
      "plan-4711",
      "planner-2",
      "render-89-hdr",
    ]) {
      expect(text).toContain(word);
    }
    expect(text).toContain("SINCE WHEN\n- 2026-11-22 17:03:11 UTC\n");
  });

  it("ends with the dashboard, the key of the incident and its origin", () => {
    expect(text.trimEnd().split("\n").slice(-4)).toEqual([
      "Dashboard: https://failover.company.org/",
      "",
      "Dedup key: default/2026-11-22/1",
      "Cluster default, 2026-11-22 17:03:16 UTC, message message-1",
    ]);
  });

  it("of a resolved incident says which agents are back, and asks for no action", () => {
    const over = mailBody(resolvedNotice).text;
    expect(titlesOf(over)).toEqual(["WHEN", "RECOVERED", "WHAT MOVED WHERE", "LOCKS"]);
    expect(over).toContain("from 2026-11-22 17:03:11 UTC to 2026-11-22 17:31:00 UTC");
    expect(over).toContain("- planner-1 is back after 25 minutes");
  });

  it("of a test starts with saying so", () => {
    const ofTest = mailBody(testNotice).text;
    expect(ofTest).toMatch(/^This is a test\. Nothing failed\.\n/);
    expect(titlesOf(ofTest)).toEqual(["WHAT WORKS", "WHAT TO DO"]);
    expect(ofTest).not.toContain("planner-1");
  });

  it("of a digest begins with a table of contents and has a section for each incident", () => {
    const ofDigest = mailBody(digestNotice).text;
    expect(ofDigest).toMatch(
      /^IN THIS MAIL\n1\. Critical: 3 agents failed .*\n2\. Resolved: 3 agents failed /,
    );
    expect(ofDigest).toMatch(/^1\. Critical: .*\n=+$/m);
    expect(ofDigest).toMatch(/^2\. Resolved: .*\n=+$/m);
    expect(ofDigest.match(/^Dedup key: /gm)).toHaveLength(2);
  });

  it("has no line that a phone or a terminal would break, except ids and links", () => {
    for (const notice of [noticeOf(), resolvedNotice, digestNotice, testNotice]) {
      expect(tooLong(mailBody(notice).text)).toEqual([]);
    }
  });

  it("keeps long ids and links whole, and breaks other text without spaces", () => {
    const id = `agent-${"x".repeat(122)}`;
    const link = `https://failover.company.org/${"path/".repeat(30)}`;
    const entry = entryOf({ agent_id: id, message: "停".repeat(200) });
    const body = mailBody(noticeOf({ incidents: [incidentOf({ entries: [entry] })], dashboardUrl: link }));
    expect(body.text).toContain(`\n- ${id}\n`);
    expect(body.text).toContain(`\nDashboard: ${link}\n`);
    expect(tooLong(body.text)).toEqual([]);
  });

  it("shows fifty entries, counts the others, and stays within the size that Gmail shows", () => {
    const entries = Array.from({ length: 50 }, (_, at) =>
      entryOf({
        agent_id: `worker-${at}`,
        tasks_reassigned: 20,
        moved: Array.from({ length: 20 }, (__, task) => ({
          task_id: `task-${at}-${task}`,
          to: `worker-${100 + task}`,
        })),
      }),
    );
    const incident = incidentOf({ agents_failed: 62, tasks_reassigned: 1240, entries, entries_omitted: 12 });
    const body = mailBody(noticeOf({ incidents: [incident] }));
    expect(body.text.match(/^- worker-\d+ \(group eu\)/gm)).toHaveLength(50);
    expect(body.text).toContain("- 12 more are not listed here");
    expect(body.text).toContain("18 more tasks of worker-0 moved");
    expect(body.text).toContain("240 tasks of other agents moved");
    expect(new TextEncoder().encode(body.html).length).toBeLessThan(GMAIL_SHOWS_BYTES);
  });

  it("of a digest of many incidents is bounded, and counts the omitted ones", () => {
    const entries = Array.from({ length: 50 }, (_, at) => entryOf({ agent_id: `worker-${at}` }));
    const incidents = Array.from({ length: 300 }, () => incidentOf({ agents_failed: 50, entries }));
    const { text: ofDigest } = mailBody(noticeOf({ kind: "digest", incidents }));
    expect(ofDigest).toContain("101. and 200 more\n");
    expect(ofDigest.match(/^Dedup key: /gm)).toHaveLength(20);
    expect(ofDigest).toContain("280 more incidents without a section in this mail");
    expect(ofDigest.match(/^- 40 more are not listed here$/gm)).toHaveLength(20);
    expect(ofDigest.length).toBeLessThan(GMAIL_SHOWS_BYTES);
  });
});

describe("the HTML of an email", () => {
  it("has the same content as the text", () => {
    for (const notice of [noticeOf(), resolvedNotice, digestNotice, testNotice]) {
      const { text, html: page } = mailBody(notice);
      const words = (value: string) =>
        value
          .replace(/[^\p{L}\p{N}]+/gu, " ")
          .trim()
          .toLowerCase()
          .split(" ");
      const shown = new Set(words(page.replace(/<title>.*<\/title>/, "").replace(/<(?!a)[^>]*>/g, " ")));
      expect(
        words(text.replaceAll("\nDashboard: ", "\n")).filter(
          (word) => !shown.has(word) && !/^\d$/.test(word),
        ),
      ).toEqual([]);
    }
  });

  it("fits a phone and dark mode, and loads no external resource", () => {
    const page = mailBody(noticeOf()).html;
    expect(page).toContain("max-width:600px");
    expect(page).toContain('<meta name="color-scheme" content="light dark">');
    expect(page).not.toMatch(/<(?:img|link|script|style|iframe|object|form)\b|\bsrc=|url\(|@import/i);
    expect(page.match(/https?:\/\/[^"]*/g)).toEqual(["https://failover.company.org/"]);
  });

  it("escapes all values", () => {
    const message = `<img src=x onerror="alert(1)"> & 'quoted' </li></ul><script>`;
    const incidents = [incidentOf({ entries: [entryOf({ message })], summary: "<b>bold</b>" })];
    const page = mailBody(noticeOf({ incidents, cluster: "<i>" })).html;
    expect(page).not.toMatch(/<(?:img|script|b|i)\b/);
    expect(page).toContain(
      "&lt;img src=x onerror=&quot;alert(1)&quot;&gt; &amp; &#39;quoted&#39; &lt;/li&gt;",
    );
  });

  it("links to http and https addresses only", () => {
    for (const dashboardUrl of ["javascript:alert(1)", "data:text/html,x", "not an address", null]) {
      const body = mailBody(noticeOf({ dashboardUrl }));
      expect(body.html).not.toContain("<a ");
      expect(body.text).not.toContain("Dashboard:");
    }
    const page = mailBody(noticeOf({ dashboardUrl: 'https://a.org/"onclick="x' })).html;
    expect(page).toContain('<a href="https://a.org/%22onclick=%22x" style=');
  });

  it("has the same tags for any text of agents, and no such text looks like a title", () => {
    const hostile = fc.string({
      unit: fc.constantFrom(
        "<",
        ">",
        '"',
        "'",
        "&",
        "\r\n",
        "\n",
        "\0",
        "\u2029",
        "\u202e",
        "\u2066",
        "WHAT TO DO",
        " ",
        "x",
      ),
      minLength: 1,
      maxLength: 80,
    });
    const calm = mailBody(
      noticeOf({ incidents: [incidentOf({ groups: { x: 1 }, entries: [hostileEntry("x")] })] }),
    );
    fc.assert(
      fc.property(hostile, hostile, (name, other) => {
        const incident = incidentOf({
          summary: `x${name}`,
          dedup_key: `x${name}`,
          groups: { [name]: 1 },
          entries: [hostileEntry(`x${other}`)],
        });
        const body = mailBody(noticeOf({ incidents: [incident], id: name, cluster: name }));
        expect(tagsOf(body.html)).toEqual(tagsOf(calm.html));
        expect(titlesOf(body.text)).toEqual(titlesOf(calm.text));
        for (const part of [body.html, body.text]) {
          expect(part.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
        }
      }),
      RUNS,
    );
  });
});

/** One text in every field that an agent can write. */
function hostileEntry(text: string): IncidentEntry {
  return entryOf({
    agent_id: text,
    group: text,
    failure_type: text,
    message: text,
    tasks_reassigned: 1,
    tasks_pending: 1,
    moved: [{ task_id: text, to: text }],
    stranded: [text],
  });
}

describe("an email", () => {
  it("is the same for each attempt, since a provider compares requests with the same id", () => {
    expect(mailBody(noticeOf())).toEqual(mailBody(structuredClone(noticeOf())));
  });
});

describe("a template", () => {
  it("escapes text in elements and attributes, and leaves its own markup alone", () => {
    const inner = html`<b title="${`"'<>&`}">${"<i>"}</b>`;
    expect(html`<p>${inner}${[inner]}</p>`.markup).toBe(
      `<p>${'<b title="&quot;&#39;&lt;&gt;&amp;">&lt;i&gt;</b>'.repeat(2)}</p>`,
    );
  });
});
