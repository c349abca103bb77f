import { expect, it } from "vitest";
import { tagsOf } from "./tags";

it.each([
  ["", []],
  ["turning point", ["turning point"]],
  [" #key, key ,, # other", ["key", "other"]],
])("reads %j as %j", (text, tags) => {
  expect(tagsOf(text)).toEqual(tags);
});
