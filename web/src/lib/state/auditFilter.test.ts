import { expect, it } from "vitest";
import type { AuditRow } from "$lib/api/identity";
import { isFiltered, matches, readFilter, toQuery, withRow, writeFilter } from "./auditFilter";

const row = (seq: number, more: Partial<AuditRow> = {}): AuditRow => ({
  seq,
  event_id: `e${seq}`,
  event_type: "auth.login.failure",
  severity: "medium",
  timestamp: new Date(2026, 10, 22, 12, 0).toISOString(),
  user_id: "u1",
  outcome: "failure",
  request_id: "r1",
  details: {},
  ...more,
});
const all = readFilter("");

it("what the URL keeps is read back", () => {
  const text = "type=auth.logout&severity=high&user=u%261&from=2026-11-22T10%3A00&to=2026-11-22T11%3A00";
  expect(writeFilter(readFilter(text))).toBe(text);
  expect([isFiltered(all), isFiltered(readFilter(text))]).toEqual([false, true]);
  expect(writeFilter(readFilter("nonsense=1&type="))).toBe("");
});

it("asks the server in its own words, and in UTC", () => {
  const filter = {
    type: "auth.logout",
    severity: "",
    user: "u1",
    from: "2026-11-22T10:00",
    to: "not a time",
  };
  expect(toQuery(filter)).toEqual({
    event_type: "auth.logout",
    user_id: "u1",
    start_time: new Date(2026, 10, 22, 10, 0).toISOString(),
  });
  expect(toQuery(all)).toEqual({});
});

it.each([
  [{}, true],
  [{ type: "auth.login.failure" }, true],
  [{ type: "auth.logout" }, false],
  [{ severity: "medium" }, true],
  [{ severity: "high" }, false],
  [{ user: "u1" }, true],
  [{ user: "u2" }, false],
  [{ from: "2026-11-22T11:59", to: "2026-11-22T12:01" }, true],
  [{ from: "2026-11-22T12:01" }, false],
  [{ to: "2026-11-22T11:59" }, false],
])("a live row against %o", (filter, shown) => {
  expect(matches({ ...all, ...filter }, row(1))).toBe(shown);
});

it("a live row is shown once, in its place", () => {
  const rows = [row(5), row(3)];
  expect(withRow(rows, row(6)).map((each) => each.seq)).toEqual([6, 5, 3]);
  expect(withRow(rows, row(4)).map((each) => each.seq)).toEqual([5, 4, 3]);
  expect(withRow(rows, row(5)).map((each) => each.seq)).toEqual([5, 3]);
});
