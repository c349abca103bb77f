import { describe, expect, it } from "vitest";
import type { Path, StoredEvent } from "$lib/api/types";
import { chosen, key, pathsInForce, square } from "./paths";

const cast: Path[] = [
  { from: "a", to: "b", kind: "normal", window: 5 },
  { from: "b", to: "a", kind: "emergency", window: 2 },
];
const changed = (paths: Path[]) => ({ type: "paths_changed", paths }) as StoredEvent;
const reset = { type: "reset" } as StoredEvent;

describe("paths in force", () => {
  it.each([
    ["the cast's", [], cast],
    ["the last that were set", [changed([]), changed([{ from: "b", to: "a" }])], [{ from: "b", to: "a" }]],
    ["the cast's after a reset", [changed([]), reset], cast],
  ])("%s", (_, events, expected) => {
    expect(pathsInForce(events, cast)).toEqual(expected);
  });
});

describe("chosen paths", () => {
  it("are the same ones when nothing was chosen anew", () => {
    expect(chosen(["a", "b"], square(cast), cast)).toEqual(cast);
  });

  it("leave out what is none, keep how far a listener hears, and let the server choose for new ones", () => {
    const kinds = square(cast)
      .set(key("a", "b"), "none")
      .set(key("b", "a"), "normal")
      .set(key("c", "a"), "normal");
    expect(chosen(["a", "b", "c"], kinds, cast)).toEqual([
      { from: "b", to: "a", kind: "normal", window: 2 },
      { from: "c", to: "a", kind: "normal" },
    ]);
  });
});
