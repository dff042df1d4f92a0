/** What a notifier asks of its host besides what every service does: ways out, and secrets by name. */
import type { Transports } from "../../notifications/transports.ts";

export interface NotifierEnvironment {
  readonly transports: Transports;
  /** The value of a secret, or null if there is none of that name, or none that may leave. */
  secret(name: string): string | null;
  /** Whether http and local addresses may be reached. */
  readonly allowLocalTargets: boolean;
  /** Our own address, or null if it is not known. */
  readonly publicUrl: string | null;
}
