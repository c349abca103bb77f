import { expect, it } from "vitest";
import type { ComparedCell, ComparedTurn, Comparison, Session } from "$lib/api/types";
import { baselineFirst, comparableGauges, deltaOf, joined, runNames } from "./compare";

const said = (content: string, deltas?: Record<string, number>): ComparedCell =>
  ({
    events: [],
    message: { content },
    ...(deltas === undefined ? {} : { deltas }),
  }) as unknown as ComparedCell;
const nothing = (...types: string[]): ComparedCell =>
  ({ events: types.map((type) => ({ type })) }) as unknown as ComparedCell;
const row = (turn: number, ...cells: ComparedCell[]): ComparedTurn => ({ turn, cells });

it("joins pages by turn, in the order of turns", () => {
  const rows = joined(
    [row(4, said("a"), said("b")), row(6, said("e"), said("f"))],
    [row(5, said("c"), said("d"))],
  );
  expect(rows.map(({ turn }) => turn)).toEqual([4, 5, 6]);
});

it("joins a turn that one run had on an earlier page than another", () => {
  const first = [row(4, nothing("stimulus_injected"), said("b"))];
  const [only] = joined(first, [row(4, said("a"), nothing("turn_failed"))]);
  expect(only?.cells[0]?.message?.content).toBe("a");
  expect(only?.cells[0]?.events.map(({ type }) => type)).toEqual(["stimulus_injected"]);
  expect(only?.cells[1]?.message?.content).toBe("b");
  expect(only?.cells[1]?.events.map(({ type }) => type)).toEqual(["turn_failed"]);
});

it("tells how far two runs are apart, with gaps where one of them says nothing", () => {
  const rows = [
    row(4, said("a"), said("b", { stagnation: 0.5, conflict: 1 })),
    row(5, said("c"), nothing()),
    row(6, said("e"), said("f", { stagnation: 1.5 })),
    row(7, nothing("emergency"), nothing()),
  ];
  expect(deltaOf(rows, 1, "stagnation")).toEqual({ values: [0.5, null, 1.5], mean: 1, n: 2 });
  expect(deltaOf(rows, 1, "diversity")).toEqual({ values: [null, null, null], mean: null, n: 0 });
  expect(comparableGauges(rows)).toEqual(["conflict", "stagnation"]);
  expect(comparableGauges([])).toEqual([]);
});

it("names runs so that they can be told apart", () => {
  const runs = ["Letter", "Other", "Letter"].map((name) => ({ session: { name } }));
  expect(runNames({ runs } as unknown as Comparison)).toEqual(["Letter (1)", "Other", "Letter (3)"]);
});

it.each([
  ["the original, ticked last", ["c<b", "b<a", "a"], "a c b"],
  ["the only one that another was forked from", ["d", "c<b", "b<x"], "b d c"],
  ["the oldest, where none is another's past", ["c", "a", "b<x"], "a c b"],
  ["nothing", [], ""],
])("compares with %s", (_, chosen, expected) => {
  const sessions = chosen.map((text) => {
    const [session_id = "", parent] = text.split("<");
    const created_at = `2026-01-0${"abcd".indexOf(session_id) + 1}T00:00:00Z`;
    return { session_id, created_at, parent: parent === undefined ? null : { session_id: parent, seq: 1 } };
  });
  const ordered = baselineFirst(sessions as unknown as Session[]);
  expect(ordered.map((each) => each.session_id).join(" ")).toBe(expected);
});
