/** The filters of the audit page: as the URL keeps them, as the server is asked, and for rows that come live. */
import type { AuditQuery, AuditRow, Severity } from "$lib/api/identity";

export const EVENT_TYPES = [
  "auth.login.success",
  "auth.login.failure",
  "auth.logout",
  "auth.token.refresh",
  "auth.token.revoked",
  "auth.token.reuse",
  "authz.access.granted",
  "authz.access.denied",
  "authz.permission.changed",
  "session.created",
  "session.expired",
  "session.terminated",
  "security.suspicious",
  "security.rate_limit",
  "security.invalid_token",
  "security.ip_blocked",
  "data.exported",
  "data.erased",
  "system.config.changed",
] as const;
export const SEVERITIES = ["low", "medium", "high", "critical"] as const satisfies readonly Severity[];

export interface AuditFilter {
  type: string;
  severity: string;
  user: string;
  /** As `<input type="datetime-local">` writes it, in the reader's own time zone. */
  from: string;
  to: string;
}
const NOTHING: AuditFilter = { type: "", severity: "", user: "", from: "", to: "" };
const FIELDS = Object.keys(NOTHING) as (keyof AuditFilter)[];

export function readFilter(text: string): AuditFilter {
  const parameters = new URLSearchParams(text);
  const filter = { ...NOTHING };
  for (const field of FIELDS) filter[field] = parameters.get(field) ?? "";
  return filter;
}

export function writeFilter(filter: AuditFilter): string {
  const parameters = new URLSearchParams();
  for (const field of FIELDS) if (filter[field] !== "") parameters.set(field, filter[field]);
  return parameters.toString();
}

export function isFiltered(filter: AuditFilter): boolean {
  return FIELDS.some((field) => filter[field] !== "");
}

export function toQuery(filter: AuditFilter): AuditQuery {
  const from = instant(filter.from);
  const to = instant(filter.to);
  return {
    ...(filter.type === "" ? {} : { event_type: filter.type }),
    ...(filter.severity === "" ? {} : { severity: filter.severity }),
    ...(filter.user === "" ? {} : { user_id: filter.user }),
    ...(from === null ? {} : { start_time: from.toISOString() }),
    ...(to === null ? {} : { end_time: to.toISOString() }),
  };
}

/** Whether a row that came live belongs to what is shown. */
export function matches(filter: AuditFilter, row: AuditRow): boolean {
  const at = Date.parse(row.timestamp);
  const from = instant(filter.from);
  const to = instant(filter.to);
  return (
    (filter.type === "" || row.event_type === filter.type) &&
    (filter.severity === "" || row.severity === filter.severity) &&
    (filter.user === "" || row.user_id === filter.user) &&
    (from === null || at >= from.getTime()) &&
    (to === null || at <= to.getTime())
  );
}

/** Newest first, each once. */
export function withRow(rows: readonly AuditRow[], row: AuditRow): AuditRow[] {
  if (rows.some((each) => each.seq === row.seq)) return [...rows];
  return [row, ...rows].toSorted((a, b) => b.seq - a.seq);
}

function instant(local: string): Date | null {
  if (local === "") return null;
  const date = new Date(local);
  return Number.isNaN(date.getTime()) ? null : date;
}
