import { describe, expect, it } from "vitest";
import { eventsOfTurns } from "./range";

/** Three turns; the second has failed once. */
const marks = [
  { turn: 1, seq: 5 },
  { turn: 2, seq: 9 },
  { turn: 2, seq: 12 },
  { turn: 4, seq: 20 },
];
const ends = [7, 10, 15, 30];
const endOf = (mark: number) => ends[mark] ?? 0;

describe("the events of some turns", () => {
  it.each([
    ["the first, with the beginning", 1, 1, { from: 1, to: 7 }],
    ["one with all its attempts", 2, 2, { from: 8, to: 15 }],
    ["the rest", 2, 99, { from: 8, to: 30 }],
    ["a turn that is not there lies between", 3, 4, { from: 16, to: 30 }],
    ["none", 3, 3, null],
    ["after the end", 5, 9, null],
  ])("%s", (_, from, to, expected) => {
    expect(eventsOfTurns(marks, from, to, endOf)).toEqual(expected);
  });
});
