/** Email from inside workerd, as `npm start` runs it, to correct and faulty servers. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BundleFacts } from "../../../scripts/server/bundle.ts";
import type { Mail, MailOutcome, SmtpServer } from "../../../src/notifications/transports.ts";
import { certificatesOfThisFile, makeCertificates } from "../../support/certificates.ts";
import { writeProbeBundle } from "../../support/probe-bundle.ts";
import { PROJECT_ROOT, type Server, startServer } from "../../support/server.ts";
import {
  answerToStartTls,
  endless,
  hangUp,
  hangUpAfterGreeting,
  MAIL_PASSWORD,
  MAIL_USERNAME,
  silence,
  startMailReceiver,
  startRawReceiver,
  stripped,
} from "../../support/smtp-receiver.ts";

/** Far more than an email on loopback takes, on a busy machine as well. */
const PLENTY_MS = 20_000;
/** Short enough for a test, and long enough for the steps before the hang. */
const SOON_MS = 1000;
/** Limit for a request while an email hangs; a request that waited for it would take longer. */
const PROMPT_MS = 100;

/** The transport in an object of its own, as in the notifier. */
const PROBE = `
import { DurableObject } from "cloudflare:workers";
import { SmtpClient, sendBySmtpApart } from "./src/objects/transports/smtp.ts";
import { speaksTlsAtOnce } from "./src/objects/transports/smtp-delivery.ts";
export { SmtpClient };

export class Notifier extends DurableObject {
  send({ server, mail, timeoutMs }) {
    return sendBySmtpApart(server, mail, timeoutMs);
  }
  ping() {
    return "pong";
  }
}
export class AgentGroup extends DurableObject {}
export class Coordinator extends DurableObject {}

export default {
  async fetch(request, env) {
    const notifier = env.NOTIFIER.getByName("one");
    const { pathname } = new URL(request.url);
    if (pathname === "/send") return Response.json(await notifier.send(await request.json()));
    if (pathname === "/ping") return new Response(await notifier.ping());
    if (pathname === "/tls-at-once") return Response.json([25, 465, 587, 2525].filter(speaksTlsAtOnce));
    return Response.json({ status: "ok" });
  },
};
`;

const MAIL: Mail = {
  from: "Failover <coordinator@example.org>",
  to: ["ann@example.org", "bob@example.org"],
  subject: "agent1 is inactive",
  text: "agent1 fell silent.\n.\nIts tasks moved on.",
  html: "<p>agent1 fell silent. — 𝄞</p>",
};

const { certificates, caFile } = await certificatesOfThisFile();
let folder = "";
let worker: Server;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "failover-smtp-"));
  worker = await startServer({
    env: { BUNDLE_DIR: await bundleProbe(), ALLOW_LOCAL_TARGETS: "true", NODE_EXTRA_CA_CERTS: caFile },
  });
});

afterAll(async () => {
  await worker[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Bundled by esbuild as wrangler does it, without the modules of the platform. */
async function bundleProbe(): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: PROBE, resolveDir: PROJECT_ROOT, loader: "js" },
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
  });
  const dir = writeProbeBundle(join(folder, "probe"), outputFiles[0]?.text ?? "");
  // The flags of the product itself: without them the transport could not run there either.
  const { unstable_readConfig: readConfig } = await import("wrangler");
  const product = readConfig({ config: join(PROJECT_ROOT, "wrangler.toml") }, { hideWarnings: true });
  const path = join(dir, "bundle.json");
  const facts: BundleFacts = JSON.parse(readFileSync(path, "utf8"));
  facts.compatibility_flags = product.compatibility_flags;
  writeFileSync(path, JSON.stringify(facts));
  return dir;
}

const post = async (path: string, body: unknown): Promise<Response> =>
  fetch(`${worker.url}${path}`, { method: "POST", body: JSON.stringify(body) });

async function send(
  to: Partial<SmtpServer> & { port: number },
  mail: Partial<Mail> = {},
  timeoutMs = PLENTY_MS,
): Promise<MailOutcome> {
  const server: SmtpServer = {
    host: "localhost",
    username: MAIL_USERNAME,
    password: MAIL_PASSWORD,
    security: "starttls",
    ...to,
  };
  const response = await post("/send", { server, mail: { ...MAIL, ...mail }, timeoutMs });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  const outcome: MailOutcome = JSON.parse(text);
  if (!outcome.isAccepted) {
    expect(outcome.reason.length).toBeLessThanOrEqual(300);
    expect(outcome.reason).not.toMatch(/\p{Cc}/u);
    expect(outcome.reason).not.toContain(MAIL_PASSWORD);
    expect(outcome.reason).not.toContain(MAIL_USERNAME);
    expect(outcome.reason).not.toContain(btoa(MAIL_PASSWORD));
  }
  return outcome;
}

const failure = (reason: RegExp, isPermanent: boolean) => ({
  isAccepted: false,
  reason: expect.stringMatching(reason),
  isPermanent,
});

async function expectPing(): Promise<void> {
  const startMs = performance.now();
  expect(await (await fetch(`${worker.url}/ping`)).text()).toBe("pong");
  expect(performance.now() - startMs).toBeLessThan(PROMPT_MS);
}

describe("an email over SMTP", () => {
  it("uses TLS at once on port 465 only", async () => {
    expect(await (await fetch(`${worker.url}/tls-at-once`)).json()).toEqual([465]);
  });

  it("arrives complete over STARTTLS, after signing in", async () => {
    await using receiver = await startMailReceiver({ certificates, security: "starttls" });
    expect(await send({ port: receiver.port })).toEqual({ isAccepted: true, refused: [] });
    const [mail] = receiver.mails;
    expect(receiver.mails).toHaveLength(1);
    expect(mail).toMatchObject({
      from: "coordinator@example.org",
      to: MAIL.to,
      isSecure: true,
      username: MAIL_USERNAME,
    });
    expect(mail?.raw).toContain("Subject: agent1 is inactive\r\n");
    expect(mail?.raw).toContain("agent1 fell silent.\r\n.\r\nIts tasks moved on.");
    await receiver.allGone();
  });

  it("arrives over TLS from the first byte", async () => {
    await using receiver = await startMailReceiver({ certificates, security: "tls" });
    expect(await send({ port: receiver.port, security: "tls" })).toEqual({ isAccepted: true, refused: [] });
    expect(receiver.mails).toMatchObject([{ isSecure: true, username: MAIL_USERNAME }]);
    await receiver.allGone();
  });

  it("needs no sign-in without a username", async () => {
    await using receiver = await startMailReceiver({ certificates, security: "starttls", hasSignIn: false });
    expect(await send({ port: receiver.port, username: "", password: "" })).toMatchObject({
      isAccepted: true,
    });
    expect(receiver.mails).toMatchObject([{ isSecure: true, username: null }]);
  });

  it("carries no command or header in an address or a subject", async () => {
    await using receiver = await startMailReceiver({ certificates, security: "starttls" });
    const address = "ann@example.org>\r\nRCPT TO:<eve@example.org";
    const refused = failure(/control character/, true);
    expect(await send({ port: receiver.port }, { to: [address] })).toEqual(refused);
    expect(await send({ port: receiver.port }, { from: "a@example.org\nBcc: eve@example.org" })).toEqual(
      refused,
    );
    expect(receiver.connections()).toBe(0);

    const subject = "agent1\r\nBcc: eve@example.org\r\n\r\nis inactive";
    expect(await send({ port: receiver.port }, { subject })).toMatchObject({ isAccepted: true });
    const [mail] = receiver.mails;
    expect(mail?.to).toEqual(MAIL.to);
    expect(mail?.raw).toContain("Subject: agent1 Bcc: eve@example.org is inactive\r\n");
  });

  describe("an email whose server", () => {
    it.each(["starttls", "tls"] as const)(
      "refuses a wrong password over %s is not retried",
      async (security) => {
        await using receiver = await startMailReceiver({ certificates, security });
        const outcome = await send({ port: receiver.port, security, password: "wrong & secret" });
        expect(outcome).toEqual(failure(/refused the sign-in \(535\)/, true));
        expect(receiver.mails).toEqual([]);
        await receiver.allGone();
      },
    );

    it("refuses all sign-ins is not sent, and the password is not sent", async () => {
      await using receiver = await startMailReceiver({
        certificates,
        security: "starttls",
        hasSignIn: false,
      });
      expect(await send({ port: receiver.port })).toEqual(failure(/offers no sign-in/, false));
      expect(receiver.mails).toEqual([]);
    });

    it("rejects some recipients is delivered to the others with a note", async () => {
      const refusals = { "bob@example.org": 550 };
      await using receiver = await startMailReceiver({ certificates, security: "starttls", refusals });
      expect(await send({ port: receiver.port })).toEqual({ isAccepted: true, refused: ["bob@example.org"] });
      expect(receiver.mails).toMatchObject([{ to: ["ann@example.org"] }]);
    });

    it("rejects all recipients permanently fails with the server's reply", async () => {
      const refusals = { "ann@example.org": 550, "bob@example.org": 553 };
      await using receiver = await startMailReceiver({ certificates, security: "starttls", refusals });
      expect(await send({ port: receiver.port })).toEqual(failure(/55\d not \w+@example.org/, true));
      expect(receiver.mails).toEqual([]);
    });

    it("rejects one of the recipients temporarily may be retried", async () => {
      const refusals = { "ann@example.org": 450, "bob@example.org": 550 };
      await using receiver = await startMailReceiver({ certificates, security: "starttls", refusals });
      expect(await send({ port: receiver.port })).toEqual(failure(/450 not ann/, false));
    });

    it.each([
      [452, false],
      [554, true],
    ])("rejects it with %i fails permanently: %s", async (mailRefusal, isPermanent) => {
      await using receiver = await startMailReceiver({ certificates, security: "starttls", mailRefusal });
      expect(await send({ port: receiver.port })).toEqual(
        failure(new RegExp(`${mailRefusal} not now`), isPermanent),
      );
    });

    it("repeats the credentials has an error without them", async () => {
      const echo = `${btoa(`\0${MAIL_USERNAME}\0${MAIL_PASSWORD}`)} ${btoa(MAIL_PASSWORD)} ${MAIL_USERNAME} ${MAIL_PASSWORD}`;
      const refusalText = `${echo} ${"x".repeat(1000)}`;
      await using receiver = await startMailReceiver({
        certificates,
        security: "starttls",
        mailRefusal: 550,
        refusalText,
      });
      expect(await send({ port: receiver.port })).toEqual(failure(/550 … … … … xxx/, true));
    });
  });

  describe("an email with an attacker in between who", () => {
    const UNTRUSTED = failure(/no certificate for this name that is trusted/, false);

    it("removes STARTTLS is not sent, nor is the password", async () => {
      await using receiver = await startRawReceiver(stripped);
      expect(await send({ port: receiver.port })).toEqual(
        failure(/does not offer STARTTLS, so nothing was sent/, false),
      );
      await receiver.allGone();
      expect(receiver.received()).toBe("EHLO [127.0.0.1]\r\n");
    });

    it("refuses STARTTLS is not sent, nor is the password", async () => {
      await using receiver = await startRawReceiver(answerToStartTls("554 no\r\n"));
      expect(await send({ port: receiver.port })).toEqual(
        failure(/refused STARTTLS, so nothing was sent: 554 no/, false),
      );
      await receiver.allGone();
      expect(receiver.received()).toBe("EHLO [127.0.0.1]\r\nSTARTTLS\r\n");
    });

    it("continues in plain text after STARTTLS is not sent", async () => {
      const injected = "220 go\r\n250-localhost\r\n250 AUTH PLAIN\r\n";
      await using receiver = await startRawReceiver(answerToStartTls(injected));
      expect(await send({ port: receiver.port })).toEqual(failure(/in the clear/, false));
      await receiver.allGone();
      expect(receiver.received()).toBe("EHLO [127.0.0.1]\r\nSTARTTLS\r\n");
    });

    it("rejects every command may be retried", async () => {
      await using receiver = await startRawReceiver((client) => client.end("554 go away\r\n"));
      expect(await send({ port: receiver.port })).toEqual(failure(/greeted with 554 go away/, false));
    });

    it.each(["starttls", "tls"] as const)(
      "has a certificate of another name over %s is not sent",
      async (security) => {
        const other = await makeCertificates("mail.example.org", certificates);
        await using receiver = await startMailReceiver({ certificates: other, security });
        expect(await send({ port: receiver.port, security })).toEqual(UNTRUSTED);
        await receiver.allGone();
        expect(receiver.connections()).toBe(1);
        expect(receiver.mails).toEqual([]);
        expect(receiver.signIns()).toBe(0);
      },
    );

    it.each(["starttls", "tls"] as const)(
      "has an untrusted certificate over %s is not sent",
      async (security) => {
        await using receiver = await startMailReceiver({ certificates: await makeCertificates(), security });
        expect(await send({ port: receiver.port, security })).toEqual(UNTRUSTED);
        await receiver.allGone();
        expect(receiver.connections()).toBe(1);
        expect(receiver.mails).toEqual([]);
        expect(receiver.signIns()).toBe(0);
      },
    );
  });

  describe("an email whose server is unreachable", () => {
    it("fails with the reason when no server listens", async () => {
      const receiver = await startRawReceiver(silence);
      await receiver[Symbol.asyncDispose]();
      expect(await send({ port: receiver.port })).toEqual(failure(/cannot be reached/, false));
      expect(await send({ port: receiver.port, security: "tls" })).toEqual(
        failure(/cannot be reached/, false),
      );
    });

    it("fails with the reason when the name is unknown or invalid", async () => {
      expect(await send({ host: "mail.invalid", port: 587 })).toEqual(failure(/cannot be reached/, false));
      expect(await send({ host: "not a\r\nname", port: 587 })).toEqual(failure(/cannot be reached/, false));
      expect(await send({ host: "localhost", port: 70_000 })).toEqual(failure(/cannot be reached/, false));
    });

    it.each([
      ["before it greets", hangUp, /while waiting for its greeting: it closed the connection/],
      ["after its greeting", hangUpAfterGreeting, /while asking for STARTTLS: it closed the connection/],
      [
        "when asked for STARTTLS",
        answerToStartTls("", true),
        /while asking for STARTTLS: it closed the connection/,
      ],
      ["when TLS starts", answerToStartTls("220 go\r\n", true), /could not start TLS/],
    ])(
      "fails when the connection closes %s, and the object serves other calls",
      async (_when, conduct, reason) => {
        await using receiver = await startRawReceiver(conduct);
        expect(await send({ port: receiver.port })).toEqual(failure(reason, false));
        await receiver.allGone();
        await expectPing();
      },
    );

    it.each([
      ["signIn", /failed while signing in/],
      ["recipient", /failed while sending the mail/],
      ["data", /failed while sending the mail/],
    ] as const)(
      "fails when the connection closes at %s, and the object serves other calls",
      async (closesAt, reason) => {
        for (const security of ["starttls", "tls"] as const) {
          await using receiver = await startMailReceiver({ certificates, security, closesAt });
          expect(await send({ port: receiver.port, security })).toEqual(failure(reason, false));
          await receiver.allGone();
          await expectPing();
        }
      },
    );
  });

  describe("an email whose server hangs", () => {
    // Concurrently, since each only waits for its end.
    it.concurrent.each([
      ["before it greets", "starttls", silence, /greeting/],
      ["in the TLS handshake", "tls", silence, /connecting/],
      ["in the TLS handshake after STARTTLS", "starttls", answerToStartTls("220 go\r\n"), /starting TLS/],
      [
        "in the middle of a reply",
        "starttls",
        (client: Socket) => client.write("220-localhost\r\n220-"),
        /greeting/,
      ],
      ["in an endless reply", "starttls", endless, /reply is too long/],
    ] as const)(
      "%s over %s fails in time, other calls are answered meanwhile, and no socket is left",
      async (_when, security, conduct, reason) => {
        await using receiver = await startRawReceiver(conduct);
        const startMs = performance.now();
        const outcome = send({ port: receiver.port, security }, {}, SOON_MS);
        await receiver.connected();
        await expectPing();
        expect(await outcome).toEqual(failure(reason, false));
        expect(performance.now() - startMs).toBeLessThan(SOON_MS + 500);
        await receiver.allGone();
      },
    );

    it.concurrent.each(["starttls", "tls"] as const)(
      "after accepting the content over %s fails in time, other calls are answered meanwhile, and no socket is left",
      async (security) => {
        await using receiver = await startMailReceiver({ certificates, security, isSilentAfterData: true });
        const outcome = send({ port: receiver.port, security }, {}, SOON_MS);
        await receiver.mailArrived();
        await expectPing();
        expect(await outcome).toEqual(failure(/gave up after 1000 ms while sending the mail/, false));
        await receiver.allGone();
      },
    );

    it.each(["starttls", "tls"] as const)(
      "in the middle of a large email over %s fails in time and leaves no socket",
      async (security) => {
        await using receiver = await startMailReceiver({ certificates, security, stopsReading: true });
        const text = `${"x".repeat(70)}\n`.repeat(400_000);
        expect(await send({ port: receiver.port, security }, { text }, 2 * SOON_MS)).toEqual(
          failure(/gave up after 2000 ms while sending the mail/, false),
        );
        receiver.resumeReading();
        await receiver.allGone();
      },
    );
  });

  it("is followed by successful emails, and no exception was left uncaught", async () => {
    await using receiver = await startMailReceiver({ certificates, security: "starttls" });
    await Promise.all(Array.from({ length: 20 }, () => send({ port: receiver.port })));
    expect(receiver.mails).toHaveLength(20);
    expect(worker.output()).not.toMatch(/uncaught|unhandled|exception|internal error/i);
  });
});
