import { expect, it } from "vitest";
import { passwordFault } from "./password";

it.each([
  ["", undefined],
  ["eleven char", "12 characters or more, please."],
  ["twelve chars", undefined],
  // Twelve people, each of several code units.
  ["👩‍🚀".repeat(4), undefined],
  ["🦊".repeat(11), "12 characters or more, please."],
  ["x".repeat(128), undefined],
  ["x".repeat(129), "128 characters at most, please."],
])("%s", (password, fault) => {
  expect(passwordFault(password)).toBe(fault);
});
