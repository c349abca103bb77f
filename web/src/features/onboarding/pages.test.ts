import { expect, it } from "vitest";
import { PAGES } from "$lib/guide";
import { MORE } from "./pages";

it.each(Object.entries(MORE))("what tells more about %s is a page of the guide", (_, name) => {
  expect(PAGES.map((page) => page.name)).toContain(name);
});
