import { expect, it } from "vitest";
import { formatRoute, parseRoute } from "./router.svelte";

it.each([
  ["", { page: "sessions" }],
  ["#/", { page: "sessions" }],
  ["#setup=AB%20CD", { page: "setup", code: "AB CD" }],
  ["#/setup=X", { page: "setup", code: "X" }],
  ["#/s/1/health", { page: "session", id: "1", tab: "health", turn: null, selected: null }],
  ["#/s/1/nonsense?turn=-3", { page: "session", id: "1", tab: "conversation", turn: null, selected: null }],
  ["#/s/1/analysis?turn=12&sel=45", { page: "session", id: "1", tab: "analysis", turn: 12, selected: 45 }],
])("%s is understood", (hash, route) => {
  expect(parseRoute(hash)).toEqual(route);
});

it("what is written is read back", () => {
  const route = { page: "session", id: "a-b", tab: "settings", turn: 3, selected: 9 } as const;
  expect(parseRoute(formatRoute(route))).toEqual(route);
  expect(parseRoute(formatRoute({ page: "setup", code: "a&b=c" }))).toEqual({ page: "setup", code: "a&b=c" });
});
