import { expect, it } from "vitest";
import { usernameFault } from "./username";

it.each([
  ["", true],
  ["mira", true],
  ["zoë.o-brien_2@lab", true],
  ["李明", true],
  ["m", false],
  ["mira k", false],
  ["mira!", false],
  ["x".repeat(64), true],
  ["x".repeat(65), false],
])("%s", (name, fits) => {
  expect(usernameFault(name) === undefined).toBe(fits);
});
