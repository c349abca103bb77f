import { expect, it } from "vitest";
import type { Mark, Marker } from "./columns";
import { atPlace, inWords, stripOf } from "./strip";

const marks = (words: number[]): Mark[] =>
  words.map((each, at) => ({ turn: at + 1, seq: at * 10, atMs: 0, words: each }));
const marker = (kind: Marker["kind"], mark: number): Marker => ({ kind, mark, seq: mark * 10 });

it("says how much was said where, no finer than it can be drawn", () => {
  expect(stripOf(marks([4, 8, 0, 2]), [], 1000).density).toEqual([0.5, 1, 0, 0.25]);
  const wide = stripOf(marks(Array.from({ length: 10_000 }, (_, at) => at % 7)), [], 600);
  expect(wide.density).toHaveLength(200);
  expect(Math.max(...wide.density)).toBe(1);
  expect(stripOf([], [marker("stimulus", 0)], 600)).toMatchObject({
    density: [0],
    places: { stimulus: [0] },
  });
});

it("knows from where to where an emergency lasted, and one that still does", () => {
  const markers = [marker("opened", 2), marker("closed", 5), marker("opened", 8)];
  expect(stripOf(marks(Array<number>(10).fill(1)), markers, 600).emergencies).toEqual([
    [0.2, 0.5],
    [0.8, 1],
  ]);
});

it("draws each place once, and counts all", () => {
  const many = Array.from({ length: 500 }, () => marker("failure", 3));
  const strip = stripOf(marks([1, 1, 1, 1]), [...many, marker("note", 4), marker("closed", 4)], 600);
  expect(strip.places.failure).toEqual([0.75]);
  expect(inWords(strip)).toBe("500 failed turns, 1 note");
  expect(atPlace([...many, marker("stimulus", 3), marker("note", 4)], 3)).toBe("failed turn, stimulus");
});
