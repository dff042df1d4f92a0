/** The order of severities, mildest first. */
import { SEVERITIES, type Severity } from "../contract/failure.ts";

export function isAtLeast(severity: Severity, minimum: Severity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(minimum);
}

export function mostSevere(one: Severity, other: Severity): Severity {
  return isAtLeast(one, other) ? one : other;
}
