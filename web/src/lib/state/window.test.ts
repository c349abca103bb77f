import { expect, it } from "vitest";
import { around, FIRST, follow, following, kept, MOST, newer, older, SHED, STEP, type Rows } from "./window";

const count = ({ start, end }: Rows, length: number) => (end ?? length) - start;

it.each([0, 1, FIRST, 10_000])("begins at the end of %i items", (length) => {
  expect(following(length)).toEqual({ start: Math.max(0, length - FIRST), end: null });
});

it("goes back to the first row and forth to the last, never with too many, and leaves none out", () => {
  const length = 1013;
  let rows = following(length);
  const seen = new Set<number>();
  const look = () => {
    expect(count(rows, length)).toBeLessThanOrEqual(MOST);
    for (let i = rows.start; i < (rows.end ?? length); i += 1) seen.add(i);
  };
  while (rows.start > 0) {
    look();
    rows = older(rows, length);
  }
  look();
  expect(seen.size).toBe(length);
  expect(rows.end).toBe(MOST);
  for (let turns = 0; rows.end !== null; turns += 1) {
    const before = rows.end;
    rows = newer(rows, length);
    look();
    expect(rows.end ?? length).toBeGreaterThan(before);
    expect(turns).toBeLessThan(length / STEP + 1);
  }
});

it("keeps its rows while new ones come, until there are too many", () => {
  const full = { start: 60, end: null };
  expect(follow(full, 84 - 1, 12)).toEqual(full);
  // Then some go at once, and the others stay for a while.
  expect(follow(full, 84, 12)).toEqual({ start: 72, end: null });
  expect(follow(full, 84 + SHED - 1, 12)).toEqual({ start: 72, end: null });
  // The playhead went back.
  expect(follow({ start: 900, end: null }, 50, 48)).toEqual({ start: 50 - FIRST, end: null });
  expect(follow({ start: 900, end: null }, 3, 48)).toEqual({ start: 0, end: null });
});

it("keeps a screen of the lowest rows, of whatever height", () => {
  for (const height of [0, 650, 1200, 2000]) expect(kept(height) * 40).toBeGreaterThanOrEqual(height);
});

it.each([
  [0, 1000],
  [500, 1000],
  [999, 1000],
  [3, 10],
])("shows row %i of %i with its neighbours", (index, length) => {
  const rows = around(index, length);
  expect(rows.start).toBeLessThanOrEqual(index);
  expect(rows.end ?? length).toBeGreaterThan(index);
  expect(count(rows, length)).toBeLessThanOrEqual(FIRST);
});
