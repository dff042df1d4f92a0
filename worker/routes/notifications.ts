/** Who was told: incidents, the delivery log, sending again, and trying the channels out. */
import { PageQuery } from "../../src/contract/common.ts";
import { IncidentFilter, IncidentPage } from "../../src/contract/incident.ts";
import {
  NotificationAnswer,
  NotificationFilter,
  NotificationPage,
  NotificationTestAnswer,
} from "../../src/contract/notification.ts";
import type { App } from "../app-types.ts";
import { unwrap } from "../errors.ts";
import { notifierOf } from "../object-stubs.ts";
import { answer, CLUSTER, operation, params } from "../route-declaration.ts";

const tags = ["notifications"];

const list = operation({
  operationId: "listNotifications",
  method: "get",
  path: `${CLUSTER}/notifications`,
  summary: "The delivery log: what was sent through which channel, with each try, newest first.",
  tags,
  request: { params: params("cluster"), query: PageQuery.extend(NotificationFilter.shape) },
  responses: { 200: answer("A page of the delivery log.", NotificationPage) },
});

const incidents = operation({
  operationId: "listIncidents",
  method: "get",
  path: `${CLUSTER}/incidents`,
  summary: "What people are told of: failures that came together and what follows from them, newest first.",
  tags,
  request: { params: params("cluster"), query: PageQuery.extend(IncidentFilter.shape) },
  responses: { 200: answer("A page of incidents.", IncidentPage) },
});

const redeliver = operation({
  operationId: "redeliverNotification",
  method: "post",
  path: `${CLUSTER}/notifications/{notification}/redeliver`,
  summary: "Sends a message once more, under its id; answers when that try is over.",
  tags,
  request: { params: params("cluster", "notification") },
  responses: { 200: answer("The message, with the outcome of the try.", NotificationAnswer) },
});

const test = operation({
  operationId: "testNotifications",
  method: "post",
  path: `${CLUSTER}/notifications/test`,
  summary: "Sends a test message through every channel that is asked for; answers with each outcome.",
  tags,
  request: { params: params("cluster") },
  responses: { 200: answer("What became of it on each channel.", NotificationTestAnswer) },
});

export function notificationRoutes(app: App): void {
  app.openapi(list, async (c) => {
    const { cluster } = c.req.valid("param");
    const { limit, cursor, ...filter } = c.req.valid("query");
    return c.json(await notifierOf(c.env, cluster).notifications(filter, limit, cursor ?? null), 200);
  });

  app.openapi(incidents, async (c) => {
    const { cluster } = c.req.valid("param");
    const { limit, cursor, ...filter } = c.req.valid("query");
    return c.json(await notifierOf(c.env, cluster).incidents(filter, limit, cursor ?? null), 200);
  });

  app.openapi(redeliver, async (c) => {
    const { cluster, notification } = c.req.valid("param");
    return c.json({ notification: unwrap(await notifierOf(c.env, cluster).redeliver(notification)) }, 200);
  });

  app.openapi(test, async (c) => {
    const { cluster } = c.req.valid("param");
    return c.json({ results: unwrap(await notifierOf(c.env, cluster).test()) }, 200);
  });
}
