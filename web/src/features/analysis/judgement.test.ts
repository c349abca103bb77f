import { expect, it } from "vitest";
import type { AgentMessage } from "$lib/api/types";
import { rated, ratingName, tally } from "./judgement";

const ratings = [
  { seq: 3, judge: -2, rules: -1 },
  { seq: 5, judge: -2, rules: 0 },
  { seq: 9, judge: null, rules: 0 },
];

it("counts each rating of the scale, also those nobody gave, and no refusal", () => {
  expect(tally({ range: [-2, 2], ratings })).toEqual([
    { rating: -2, judge: 2, rules: 0 },
    { rating: -1, judge: 0, rules: 1 },
    { rating: 0, judge: 0, rules: 2 },
    { rating: 1, judge: 0, rules: 0 },
    { rating: 2, judge: 0, rules: 0 },
  ]);
});

it("sets each rating beside its message, where that is here", () => {
  const messages = [
    { seq: 5, content: "No." },
    { seq: 9, content: "Yes." },
  ] as AgentMessage[];
  expect(rated(ratings, messages).map(({ message }) => message?.content)).toEqual([undefined, "No.", "Yes."]);
});

it("names the ends of each scale, and says nothing for a refusal", () => {
  expect(ratingName("sentiment", -2)).toBe("−2, very negative");
  expect(ratingName("stance", 1)).toBe("+1");
  expect(ratingName("integrative_complexity", 7)).toBe("7, views held together");
  expect(ratingName("sentiment", null)).toBe("–");
});
