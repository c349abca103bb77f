// The rules of the house that no compiler checks: who may import whom, and where colours live.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, it } from "vitest";

const SRC = resolve(import.meta.dirname);
const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(ts|svelte|css)$/u.test(name) && !name.endsWith(".test.ts"))
  .map((name) => join(SRC, name));
const text = new Map(files.map((file) => [file, readFileSync(file, "utf8")]));
const name = (file: string) => relative(SRC, file);

/** Files of ours that a file imports; types cost nothing and are left out. */
function imports(file: string): string[] {
  const found = [...(text.get(file) ?? "").matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/gu)].map(
    (match) => match[1] ?? "",
  );
  const typeOnly = new Set(
    [...(text.get(file) ?? "").matchAll(/import type [^;]+? from "([^"]+)"/gu)].map((match) => match[1]),
  );
  return found
    .filter((path) => (path.startsWith(".") || path.startsWith("$")) && !typeOnly.has(path))
    .map((path) => path.replace(/^\$(lib|ui|features)/u, (_, room: string) => join(SRC, room)))
    .map((path) => (path.startsWith("/") ? path : resolve(dirname(file), path)))
    .map((path) => [path, `${path}.ts`, join(path, "index.ts")].find((candidate) => text.has(candidate)))
    .filter((path): path is string => path !== undefined);
}

it("has no cycle of imports", () => {
  const state = new Map<string, "open" | "done">();
  const cycles: string[] = [];
  const visit = (file: string, trail: string[]) => {
    if (state.get(file) === "done") return;
    if (state.get(file) === "open") {
      cycles.push([...trail.slice(trail.indexOf(file)), file].map(name).join(" → "));
      return;
    }
    state.set(file, "open");
    for (const next of imports(file)) visit(next, [...trail, file]);
    state.set(file, "done");
  };
  for (const file of files) visit(file, []);
  expect(cycles).toEqual([]);
});

it("enters a feature through its index only, and never from ui or lib", () => {
  const wrong = files.flatMap((file) =>
    imports(file)
      .filter((target) => name(target).startsWith("features/"))
      .filter((target) => {
        const inside =
          name(target).split("/")[1] === name(file).split("/")[1] && name(file).startsWith("features/");
        return !inside && (!target.endsWith("index.ts") || /^(ui|lib)\//u.test(name(file)));
      })
      .map((target) => `${name(file)} → ${name(target)}`),
  );
  expect(wrong).toEqual([]);
});

it("names colours in tokens.css only", () => {
  const colour = /#(?:[0-9a-f]{6,8}|[0-9a-f]{3})\b|\b(?:rgba?|hsla?|oklch)\(/iu;
  const wrong = files
    // What is generated quotes the schema's own examples.
    .filter((file) => name(file) !== "ui/tokens.css" && name(file) !== "lib/api/generated.ts")
    .filter((file) =>
      (text.get(file) ?? "").split("\n").some((line) => colour.test(line.replace(/href="#[^"]*"/gu, ""))),
    )
    .map(name);
  expect(wrong).toEqual([]);
});

it("puts words on the page as text only: nothing parses HTML or runs a string", () => {
  const parses =
    /\{@html|\b(?:innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|srcdoc|setHTMLUnsafe|DOMParser)\b|document\.write|\beval\(|new Function\(|\bjavascript:/u;
  expect(files.filter((file) => parses.test(text.get(file) ?? "")).map(name)).toEqual([]);
  expect(parses.test("<p>{@html words}</p>")).toBe(true);
});

it("gives a reason, in brackets, with every warning it silences", () => {
  const silenced = files.flatMap((file) =>
    [...(text.get(file) ?? "").matchAll(/svelte-ignore [^>]*/gu)].map(
      (match) => `${name(file)}: ${match[0]}`,
    ),
  );
  expect(silenced.length).toBeGreaterThan(0);
  expect(silenced.filter((line) => !/svelte-ignore [a-z0-9_]+ \([^)]{15,}\)/u.test(line))).toEqual([]);
});

it("sees the files it judges", () => {
  expect(files.length).toBeGreaterThan(60);
  expect(imports(join(SRC, "main.ts")).map(name)).toContain("App.svelte");
});
