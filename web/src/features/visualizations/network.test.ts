import { describe, expect, it } from "vitest";
import type { Connection } from "$lib/api/types";
import { along, routes, type Curve } from "./flow";
import { corner, LAYOUTS, shown } from "./network";

const path = (from: string, to: string, more: Partial<Connection> = {}): Connection => ({
  from,
  to,
  kind: "normal",
  active: true,
  strength: 0.5,
  ...more,
});

describe("the filter of the network", () => {
  const all = { agent: "", least: 0, closed: false };
  it.each([
    ["an open path", path("a", "b"), all, true],
    ["a closed one only when asked for", path("a", "b", { active: false }), all, false],
    ["a closed one", path("a", "b", { active: false }), { ...all, closed: true }, true],
    ["what is too weak", path("a", "b"), { ...all, least: 0.51 }, false],
    ["paths from an agent", path("a", "b"), { ...all, agent: "a" }, true],
    ["paths to it", path("a", "b"), { ...all, agent: "b" }, true],
    ["no other", path("a", "b"), { ...all, agent: "c" }, false],
  ])("%s", (_, connection, filter, expected) => {
    expect(shown(connection, filter)).toBe(expected);
  });
});

describe("places", () => {
  it("puts the first agent at the top of a regular figure", () => {
    expect(corner(0, 5).x).toBeCloseTo(0);
    expect(corner(0, 5).y).toBeLessThan(0);
    const far = Array.from({ length: 5 }, (_, at) => Math.hypot(corner(at, 5).x, corner(at, 5).y));
    expect(Math.max(...far) - Math.min(...far)).toBeCloseTo(0);
  });

  it("starts with what keeps its place, and never with a layout that moves by itself", () => {
    expect(LAYOUTS[0]).toBe("pentagon");
  });
});

describe("a message on its way", () => {
  const curve: Curve = [
    { x: 0, y: 0 },
    { x: 50, y: 100 },
    { x: 100, y: 0 },
  ];
  it("begins at the speaker and ends at the listener", () => {
    expect(along(curve, 0)).toEqual({ x: 0, y: 0 });
    expect(along(curve, 1)).toEqual({ x: 100, y: 0 });
    expect(along(curve, 0.5)).toEqual({ x: 50, y: 50 });
  });

  const paths = [path("a", "b"), path("a", "c", { active: false }), path("b", "a")];
  it("goes to whom it is said, and to everyone along the open paths", () => {
    expect(routes("a", ["c"], paths)).toEqual(["c"]);
    expect(routes("a", [], paths)).toEqual(["b"]);
    expect(routes("a", ["all"], paths)).toEqual(["b"]);
    expect(routes("user", [], paths)).toEqual([]);
  });
});
