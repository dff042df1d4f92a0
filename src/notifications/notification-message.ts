/** The content of one notification: one incident, a digest of several, or a test. */
import type { Severity } from "../contract/failure.ts";
import type { Incident, IncidentStatus } from "../contract/incident.ts";
import type { NotificationKind } from "../contract/notification.ts";

export type NotificationMessage = {
  /** The same in all attempts. */
  readonly id: string;
  readonly cluster: string;
  readonly kind: NotificationKind;
  /** When it was composed, RFC 3339. */
  readonly at: string;
  /** `firing` if one of its incidents is. */
  readonly status: IncidentStatus;
  readonly severity: Severity;
  /** One line for people, without control characters. */
  readonly subject: string;
  /** One for `incident`, several for `digest`, an invented one for `test`. */
  readonly incidents: readonly Incident[];
  /** The address of the dashboard, or null. */
  readonly dashboardUrl: string | null;
};
