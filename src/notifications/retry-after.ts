/**
 * How long a receiver asks us to wait: the header `Retry-After`, in seconds or as a date (RFC 9110, sections 10.2.3 and
 * 5.6.7). Any other value is ignored.
 */

/** A longer wait is cut to a day: later, the message would be out of date. */
const MAX_WAIT_MS = 86_400_000;

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** "Sun, 06 Nov 1994 08:49:37 GMT". */
const IMF_DATE =
  /^[A-Z][a-z]{2}, (?<day>\d{2}) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<hour>\d{2}):(?<minute>\d{2}):(?<second>\d{2}) GMT$/;
/** "Sunday, 06-Nov-94 08:49:37 GMT": obsolete, but every recipient must accept it. */
const RFC_850_DATE =
  /^[A-Z][a-z]{5,8}, (?<day>\d{2})-(?<month>[A-Z][a-z]{2})-(?<year>\d{2}) (?<hour>\d{2}):(?<minute>\d{2}):(?<second>\d{2}) GMT$/;
/** "Sun Nov  6 08:49:37 1994", the form of C's asctime: obsolete too. */
const ASCTIME_DATE =
  /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<hour>\d{2}):(?<minute>\d{2}):(?<second>\d{2}) (?<year>\d{4})$/;

/** @returns the wait in milliseconds, at most a day; null if none is asked for, or the date has passed */
export function retryAfterMs(header: string | null, nowMs: number): number | null {
  const text = header?.trim() ?? "";
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, MAX_WAIT_MS);
  const atMs = dateMs(text, nowMs);
  if (atMs === null || atMs < nowMs) return null;
  return Math.min(atMs - nowMs, MAX_WAIT_MS);
}

function dateMs(text: string, nowMs: number): number | null {
  const parts = (IMF_DATE.exec(text) ?? RFC_850_DATE.exec(text) ?? ASCTIME_DATE.exec(text))?.groups;
  if (parts === undefined) return null;
  const month = MONTHS.indexOf(parts.month ?? "");
  const [day, hour, minute, second] = [parts.day, parts.hour, parts.minute, parts.second].map(Number);
  if (month < 0 || day === undefined || hour === undefined || minute === undefined || second === undefined) {
    return null;
  }
  // Second 60 is a leap second.
  if (day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return null;
  return Date.UTC(fullYear(parts.year ?? "", nowMs), month, day, hour, minute, second);
}

/** Two digits mean the latest such year that is at most fifty years ahead (RFC 9110, section 5.6.7). */
function fullYear(year: string, nowMs: number): number {
  if (year.length === 4) return Number(year);
  const thisYear = new Date(nowMs).getUTCFullYear();
  const inThisCentury = Math.floor(thisYear / 100) * 100 + Number(year);
  return inThisCentury > thisYear + 50 ? inThisCentury - 100 : inThisCentury;
}
