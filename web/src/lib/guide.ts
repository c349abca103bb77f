/** The pages of the user guide, as they stand in the repository's `docs`. */
import type { Block } from "../../scripts/guide";

const LOADERS = import.meta.glob<Block[]>(["../../../docs/guide/**/*.md", "../../../docs/measures.md"], {
  import: "default",
});
const TITLES = import.meta.glob<string>(["../../../docs/guide/**/*.md", "../../../docs/measures.md"], {
  import: "default",
  query: "?title",
  eager: true,
});

/** `guide/analysis` for docs/guide/analysis.md. */
export const nameOf = (path: string): string => path.replace(/^.*\/docs\//u, "").replace(/\.md$/u, "");

export interface Page {
  name: string;
  title: string;
}

/** The measures first, then by title. */
export const PAGES: readonly Page[] = Object.entries(TITLES)
  .map(([path, title]) => ({ name: nameOf(path), title }))
  .sort(
    (a, b) => Number(b.name === "measures") - Number(a.name === "measures") || a.title.localeCompare(b.title),
  );

/** Null when there is no such page. */
export function loadPage(name: string): Promise<Block[]> | null {
  const found = Object.entries(LOADERS).find(([path]) => nameOf(path) === name);
  return found === undefined ? null : found[1]();
}

/** A page's place in this app, or null for what is no page of the guide. */
export function placeOf(href: string, from: string): { name: string; at: string } | null {
  if (/^[a-z]+:/iu.test(href)) return null;
  const [path = "", at = ""] = href.split("#");
  if (path === "") return { name: from, at };
  const base = path.startsWith("/") || path.startsWith("docs/") ? "file:///" : `file:///docs/${from}`;
  const name = nameOf(decodeURIComponent(new URL(path, base).pathname));
  return PAGES.some((page) => page.name === name) ? { name, at } : null;
}

/** Where a measure is explained: its own page, or its part of the common one. */
export function helpFor(measure: string): string {
  const own = PAGES.find(({ name }) => name === `guide/measures/${measure.replaceAll("_", "-")}`);
  const snake = PAGES.find(({ name }) => name === `guide/measures/${measure}`);
  const page = own ?? snake;
  return page === undefined ? guideHref("measures", measure.replaceAll("_", "-")) : guideHref(page.name, "");
}

export function guideHref(name: string, at: string): string {
  return `#/help/${name}${at === "" ? "" : `?at=${encodeURIComponent(at)}`}`;
}
