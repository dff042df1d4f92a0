/**
 * Planted secrets, named and written out, through every channel, every route and every line of the
 * log: none appears anywhere, plain or encoded.
 */
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FailureAnswer } from "../../src/contract/failure.ts";
import { NotificationTestAnswer } from "../../src/contract/notification.ts";
import { CheckedApi, type CheckedCluster, type JsonObject } from "../support/checked-cluster.ts";
import { reference } from "../support/configurations.ts";
import { type HttpReceiver, startHttpReceiver } from "../support/http-receiver.ts";
import { PROJECT_ROOT } from "../support/server.ts";
import { MAIL_USERNAME, startRawReceiver } from "../support/smtp-receiver.ts";
import { until } from "../support/until.ts";

const plant = (name: string) => `planted-${name}-7f3a9c1e5b`;

/** The names under which the configuration refers to them. */
const NAMED = {
  SMTP_PASSWORD: plant("smtp-password"),
  MAIL_API_KEY: plant("mail-api-key"),
  WEBHOOK_SECRET: `whsec_${btoa(plant("webhook-signing-key-of-enough-bytes"))}`,
  WEBHOOK_SECRET_BEFORE: `whsec_${btoa(plant("webhook-signing-key-of-before-that"))}`,
  WEBHOOK_TOKEN: plant("webhook-token"),
  WEBHOOK_PATH: plant("webhook-path"),
  PAGERDUTY_ROUTING_KEY: plant("routing-key"),
};
const WRITTEN_OUT = {
  password: plant("written-password"),
  api_key: plant("written-api-key"),
  secret: `whsec_${btoa(plant("written-signing-key-of-enough-bytes"))}`,
  header: plant("written-header"),
  routing_key: plant("written-routing-key"),
};

const SECRETS = [...Object.values(NAMED), ...Object.values(WRITTEN_OUT)];

/** The encodings of a secret, also those of the key behind a signing secret. */
const FORMS = SECRETS.flatMap((secret) => {
  const bare = secret.replace(/^whsec_/, "");
  return [bare, encodeURIComponent(bare), btoa(bare).replace(/=+$/, ""), btoa(`api:${bare}`)];
});

const root = mkdtempSync(join(tmpdir(), "failover-secrets-"));
const api = new CheckedApi();
let receiver: HttpReceiver;

beforeAll(async () => {
  for (const part of ["scripts", "src", "configs", "package.json", "wrangler.toml"]) {
    cpSync(join(PROJECT_ROOT, part), join(root, part), { recursive: true });
  }
  symlinkSync(join(PROJECT_ROOT, "node_modules"), join(root, "node_modules"));
  const lines = Object.entries(NAMED).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(join(root, ".dev.vars"), lines.join(""));
  // A receiver that sends every request back in its refusal.
  receiver = await startHttpReceiver((response) => {
    const { authorization, ...headers } = response.req.headers;
    response.writeHead(500, { "X-Echo": String(authorization) });
    response.end(JSON.stringify({ authorization, headers, url: response.req.url }));
  });
  await api.start({ root, env: { ALLOW_LOCAL_TARGETS: "true" } });
});

afterAll(async () => {
  await api.stop();
  await receiver[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

function expectNoSecret(text: string, where: string): void {
  for (const form of [...FORMS, api.server.adminToken, api.server.signingKey]) {
    expect(text.includes(form), `a secret in ${where}`).toBe(false);
  }
}

const named = (): JsonObject => ({
  email_notification: {
    provider: "resend",
    api_key: reference("MAIL_API_KEY"),
    api_base_url: `http://127.0.0.1:${receiver.port}`,
    password: reference("SMTP_PASSWORD"),
  },
  webhook_notification: {
    url: `http://127.0.0.1:${receiver.port}/\${WEBHOOK_PATH}`,
    headers: { Authorization: `Bearer ${reference("WEBHOOK_TOKEN")}` },
    secret: reference("WEBHOOK_SECRET"),
    previous_secret: reference("WEBHOOK_SECRET_BEFORE"),
    routing_key: reference("PAGERDUTY_ROUTING_KEY"),
  },
});

const writtenOut = (): JsonObject => ({
  email_notification: {
    provider: "mailgun",
    api_key: WRITTEN_OUT.api_key,
    api_base_url: `http://127.0.0.1:${receiver.port}`,
    password: WRITTEN_OUT.password,
  },
  webhook_notification: {
    url: `http://127.0.0.1:${receiver.port}/`,
    headers: { Authorization: `Bearer ${WRITTEN_OUT.header}`, "X-Key": WRITTEN_OUT.header },
    secret: WRITTEN_OUT.secret,
    previous_secret: "",
    routing_key: WRITTEN_OUT.routing_key,
  },
});

/** Fails an agent and waits until every channel has tried to notify of it. */
async function tellOfAFailure(cluster: CheckedCluster, agentId: string): Promise<string> {
  await cluster.register(agentId);
  const { failure } = (await cluster.post(`/agents/${agentId}/failures`, { failure_type: "reported" })).as(
    201,
    FailureAnswer,
  );
  await until(async () => {
    const { items } = await cluster.notifications({ failure_id: failure.id });
    return items.length === 4 && items.every(({ try_count }) => try_count > 0);
  }, "every channel to have tried");
  return failure.id;
}

const common = {
  failure_notification: {
    notification_types: ["log", "email", "webhook", "system"],
    group_wait_seconds: 0,
    max_messages_per_interval: 1000,
  },
};

async function configure(cluster: CheckedCluster, sections: JsonObject): Promise<void> {
  const { email_notification, webhook_notification } = sections as Record<string, JsonObject>;
  const answer = await cluster.tryConfigure("PATCH", {
    ...common,
    email_notification: {
      recipients: ["ops@example.org"],
      from: "failover@example.org",
      username: MAIL_USERNAME,
      retry_schedule_seconds: [3600],
      ...email_notification,
    },
    webhook_notification: { retry_schedule_seconds: [3600], ...webhook_notification },
  });
  expect(answer.status, answer.text).toBe(200);
  expectNoSecret(answer.text, "the answer to a change");
}

describe("a secret", () => {
  it("that is named or written out appears in no route, event or log line", async () => {
    const cluster = api.cluster();
    await using events = await cluster.events();
    const ids: Record<string, string> = { cluster: cluster.id, group: "default", agent: "a1", resource: "r" };
    for (const sections of [named(), writtenOut()]) {
      for (const preset of ["cloudevents", "slack", "discord", "pagerduty"]) {
        await configure(cluster, sections);
        await cluster.configure({ webhook_notification: { preset } });
        ids.failure = await tellOfAFailure(cluster, `a-${preset}`);
        expectNoSecret((await cluster.post("/notifications/test")).text, "a test");
      }
    }
    await cluster.register("a1");
    ids.task = (await cluster.submit({ id: "t1" })).task.id;
    const [sent] = (await cluster.notifications({ channel: "webhook" })).items;
    ids.notification = sent?.id ?? "";
    ids.message = "1";

    const document: { paths: Record<string, Record<string, unknown>> } = await (
      await fetch(`${api.server.url}/openapi.json`)
    ).json();
    let walked = 0;
    for (const [path, operations] of Object.entries(document.paths)) {
      const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? "x");
      for (const method of Object.keys(operations)) {
        if (filled.endsWith("/events") || filled.endsWith("/connect")) continue;
        // An invalid body at every key, so that any repeated value is seen.
        const body = method === "get" ? undefined : { ...writtenOut(), nonsense: WRITTEN_OUT.password };
        const response = await api.fetch(
          method.toUpperCase(),
          filled,
          body === undefined ? {} : { json: body },
        );
        const headers = JSON.stringify([...response.headers]);
        expectNoSecret((await response.text()) + headers, `${method} ${path}`);
        walked += 1;
      }
    }
    expect(walked).toBeGreaterThan(40);
    await cluster.configure({});
    await events.first(({ type }) => type === "config.changed", "the events to be heard");
    expectNoSecret(JSON.stringify(events.heard), "the events");
    expectNoSecret(api.server.output(), "the log");
    // The secrets did reach their receivers.
    const gone = receiver.requests
      .map(({ headers, url, body }) => JSON.stringify(headers) + url + body)
      .join();
    for (const secret of [
      NAMED.MAIL_API_KEY,
      NAMED.WEBHOOK_TOKEN,
      NAMED.WEBHOOK_PATH,
      NAMED.PAGERDUTY_ROUTING_KEY,
    ]) {
      expect(gone).toContain(secret);
    }
  });

  it("that a mail server repeats is removed from the error", async () => {
    await using echo = await startRawReceiver((client, heard) => {
      client.write(`220 we know ${NAMED.SMTP_PASSWORD}\r\n`);
      heard((line) => {
        if (line.startsWith("EHLO")) client.write("250-localhost\r\n250 STARTTLS\r\n");
        else client.write(`550 ${NAMED.SMTP_PASSWORD} and ${btoa(NAMED.SMTP_PASSWORD)} after ${line}\r\n`);
      });
    });
    const cluster = api.cluster();
    await configure(cluster, {
      email_notification: {
        provider: "smtp",
        smtp_server: "localhost",
        smtp_port: echo.port,
        smtp_security: "starttls",
        password: reference("SMTP_PASSWORD"),
      },
    });
    const answer = await cluster.post("/notifications/test");
    const { results } = answer.as(200, NotificationTestAnswer);
    const { error } = results.find(({ channel }) => channel === "email") ?? { error: null };
    // The rest of the server's reply is shown.
    expect(error).toContain("refused STARTTLS, so nothing was sent: 550 … and … after STARTTLS");
    expectNoSecret(answer.text, "the outcome of a test");
    expectNoSecret((await cluster.get("/notifications")).text, "the delivery log");
    expectNoSecret(api.server.output(), "the log");
  });

  it("of the coordinator itself cannot be named", async () => {
    const cluster = api.cluster();
    for (const name of ["ADMIN_TOKEN", "SIGNING_KEY"]) {
      const answer = await cluster.tryConfigure("PATCH", {
        webhook_notification: { headers: { Authorization: `Bearer ${reference(name)}` } },
      });
      expect(answer.problem(400, "invalid_request").errors).toMatchObject([
        { path: "webhook_notification.headers.Authorization", message: expect.stringContaining(name) },
      ]);
    }
  });
});
