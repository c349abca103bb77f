import { describe, expect, it, vi } from "vitest";
import { formatRoute, parseRoute, router, type Route } from "./router.svelte";

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

it("a link that is being followed is not undone by an address that still waits to be written", () => {
  vi.useFakeTimers();
  router.go({ page: "session", id: "1", tab: "health", turn: null, selected: null });
  router.refine({ turn: 3 });
  expect(location.hash).toBe("#/s/1/health?turn=3");
  router.refine({ turn: 4 });
  // As a link does it, just before its event.
  history.pushState(null, "", "#/s/1/settings");
  vi.advanceTimersByTime(1000);
  expect(location.hash).toBe("#/s/1/settings");
  dispatchEvent(new Event("hashchange"));
  expect(router.route).toMatchObject({ tab: "settings", turn: null });
  router.refine({ turn: 5 });
  expect(location.hash).toBe("#/s/1/settings?turn=5");
  vi.useRealTimers();
});
