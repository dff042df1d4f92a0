/** What a channel is to tell: one incident, several as a digest, or that this is a test. */

import type { Severity } from "../contract/failure.ts";
import type { Incident, IncidentStatus } from "../contract/incident.ts";
import type { NotificationKind } from "../contract/notification.ts";

export type NotificationMessage = {
  /** Stays the same over all tries. */
  readonly id: string;
  readonly cluster: string;
  readonly kind: NotificationKind;
  /** When it was put together, RFC 3339. */
  readonly at: string;
  /** `firing` while one of its incidents is. */
  readonly status: IncidentStatus;
  readonly severity: Severity;
  /** One line for people, without control characters. */
  readonly subject: string;
  /** One for `incident`, several for `digest`, an invented one for `test`. */
  readonly incidents: readonly Incident[];
  /** Where people see more, or null. */
  readonly dashboardUrl: string | null;
};
