import { describe, expect, it } from "vitest";
import { formatRoute, parseRoute, type Route } from "./router.svelte";

it.each([
  ["", { page: "sessions" }],
  ["#/", { page: "sessions" }],
  ["#setup=AB%20CD", { page: "setup", code: "AB CD" }],
  ["#/setup=X", { page: "setup", code: "X" }],
  ["#reset=AB%2FCD", { page: "reset", token: "AB/CD" }],
  ["#/reset=X", { page: "reset", token: "X" }],
  ["#/register", { page: "register" }],
  ["#/account", { page: "account", section: "profile" }],
  ["#/account/devices", { page: "account", section: "devices" }],
  ["#/admin/nonsense", { page: "admin", section: "users", filter: "" }],
  ["#/admin/audit?severity=high", { page: "admin", section: "audit", filter: "severity=high" }],
  ["#/s/1/health", { page: "session", id: "1", tab: "health", turn: null, selected: null }],
  ["#/s/1/nonsense?turn=-3", { page: "session", id: "1", tab: "conversation", turn: null, selected: null }],
  ["#/s/1/analysis?turn=12&sel=45", { page: "session", id: "1", tab: "analysis", turn: 12, selected: 45 }],
])("%s is understood", (hash, route) => {
  expect(parseRoute(hash)).toEqual(route);
});

it("what is written is read back", () => {
  const routes: Route[] = [
    { page: "sessions" },
    { page: "register" },
    { page: "session", id: "a-b", tab: "settings", turn: 3, selected: 9 },
    { page: "setup", code: "a&b=c" },
    { page: "reset", token: "a+b/c=" },
    { page: "account", section: "factor" },
    { page: "admin", section: "blocked", filter: "" },
    { page: "admin", section: "audit", filter: "event_type=auth.logout&user_id=u%261" },
  ];
  for (const route of routes) expect(parseRoute(formatRoute(route))).toEqual(route);
});

describe("the user guide", () => {
  it.each([
    ["#/help/measures", { page: "help", name: "measures", at: "" }],
    [
      "#/help/guide/measures/conflict?at=limits",
      { page: "help", name: "guide/measures/conflict", at: "limits" },
    ],
    ["#/help", { page: "help", name: "measures", at: "" }],
  ])("%s", (hash, route) => {
    expect(parseRoute(hash)).toEqual(route);
    expect(parseRoute(formatRoute(parseRoute(hash)))).toEqual(route);
  });
});
