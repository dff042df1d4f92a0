/** Notifications: incidents, the delivery log, sending a notification again, and testing the channels. */
import { PageQuery } from "../../src/contract/common.ts";
import { IncidentFilter, IncidentPage } from "../../src/contract/incident.ts";
import {
  NotificationAnswer,
  NotificationFilter,
  NotificationPage,
  NotificationTestAnswer,
} from "../../src/contract/notification.ts";
import { unwrap } from "../errors.ts";
import { notifierOf } from "../object-stubs.ts";
import { type Route, route } from "../route.ts";
import { answer, CLUSTER, page, params } from "../route-schemas.ts";

const tags = ["notifications"];

export const notificationRoutes: readonly Route[] = [
  route(
    {
      operationId: "listNotifications",
      method: "get",
      path: `${CLUSTER}/notifications`,
      summary: "List the delivery log",
      description: "Each notification with its channel and its attempts. The newest is first.",
      tags,
      request: { params: params("cluster"), query: PageQuery.extend(NotificationFilter.shape) },
      responses: { 200: answer("A page of the delivery log.", NotificationPage) },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      const { filter, limit, cursor } = page(c.req.valid("query"));
      return c.json(await notifierOf(c.env, cluster).notifications(filter, limit, cursor), 200);
    },
  ),

  route(
    {
      operationId: "listIncidents",
      method: "get",
      path: `${CLUSTER}/incidents`,
      summary: "List the incidents",
      description:
        "An incident groups failures that happened together, with their consequences. The newest is first.",
      tags,
      request: { params: params("cluster"), query: PageQuery.extend(IncidentFilter.shape) },
      responses: { 200: answer("A page of incidents.", IncidentPage) },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      const { filter, limit, cursor } = page(c.req.valid("query"));
      return c.json(await notifierOf(c.env, cluster).incidents(filter, limit, cursor), 200);
    },
  ),

  route(
    {
      operationId: "redeliverNotification",
      method: "post",
      path: `${CLUSTER}/notifications/{notification}/redeliver`,
      summary: "Send a notification again",
      description: "Sends it under the same id and answers after that attempt.",
      tags,
      request: { params: params("cluster", "notification") },
      responses: { 200: answer("The notification with the outcome of the attempt.", NotificationAnswer) },
    },
    async (c) => {
      const { cluster, notification } = c.req.valid("param");
      return c.json({ notification: unwrap(await notifierOf(c.env, cluster).redeliver(notification)) }, 200);
    },
  ),

  route(
    {
      operationId: "testNotifications",
      method: "post",
      path: `${CLUSTER}/notifications/test`,
      summary: "Test the notification channels",
      description: "Sends a test notification through every enabled channel and answers after all attempts.",
      tags,
      request: { params: params("cluster") },
      responses: { 200: answer("The outcome on each channel.", NotificationTestAnswer) },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      return c.json({ results: unwrap(await notifierOf(c.env, cluster).test()) }, 200);
    },
  ),
];
