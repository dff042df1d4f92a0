/** What each channel was last sent about an incident. */
import type { ChannelName } from "../../contract/notification.ts";
import type { LastSent } from "../../domain/incident/notification-timing.ts";
import type { Sql } from "../sql.ts";

export class LastSentStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  of(incidentId: string): Map<ChannelName, LastSent> {
    const rows = this.#sql.all<{ channel: ChannelName; record: string }>(
      "SELECT channel, record FROM last_sent WHERE incident_id = ?",
      incidentId,
    );
    return new Map(rows.map((row) => [row.channel, JSON.parse(row.record) as LastSent]));
  }

  save(incidentId: string, channel: ChannelName, record: LastSent): void {
    this.#sql.all(
      `INSERT INTO last_sent (incident_id, channel, record) VALUES (?, ?, ?)
       ON CONFLICT (incident_id, channel) DO UPDATE SET record = excluded.record`,
      incidentId,
      channel,
      JSON.stringify(record),
    );
  }
}
