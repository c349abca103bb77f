// Converted rooms take every word a person sees from the catalogue: nothing is written into their files.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parse } from "svelte/compiler";
import ts from "typescript";
import { expect, it } from "vitest";

const SRC = resolve(import.meta.dirname, "../..");
/** Parsing every file takes its time where many tests run at once. */
const PATIENCE_MS = 60_000;
const CONVERTED = [
  "features/health",
  "features/visualizations",
  "features/analysis",
  "features/settings",
  "features/export",
  "features/guide",
  "features/onboarding",
  "features/compare",
  "features/sessions",
  "features/timeline",
  "features/shell",
  "features/frame",
  "features/conversation",
  "features/admin",
  "features/account",
  "features/auth",
  "features/sharing",
  "lib/charts",
  "lib/state/places.ts",
  "lib/state/roles.ts",
  "lib/password.ts",
  "ui",
];

/** Attributes of elements, and properties of our components, whose words are seen or heard. */
const SEEN =
  /^(?:title|label|alt|placeholder|summary|what|hint|name|heading|text|aria-(?:label|description|roledescription|valuetext|placeholder))$/u;
const WORD = /\p{L}{2,}/u;
/** Two words, or one that begins like a sentence: what is written for people. Names in code have neither. */
const PROSE = /\p{L}{2,}[,;:–]?\s+\p{L}{2,}|^\p{Lu}\p{Ll}+[\s.…!?]*$/u;
/** Names of permissions, as the server has them, and selectors of the page's own elements. */
const CODE = /^[a-z]+:[a-z]+$|^\[[a-z]+-[a-z]+|^\.[a-z-]+[:. ]/u;
/** Names of keys, as the browser gives them. */
const KEYS = /^(?:Enter|Escape|Home|End|Tab|Space|Infinity)$/u;

interface Node {
  type: string;
  [key: string]: unknown;
}
const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";

/** The words a .svelte file puts on the page by itself. */
function wordsOfComponent(source: string): string[] {
  const found: string[] = [];
  const literals = (node: unknown): string[] => {
    if (Array.isArray(node)) return node.flatMap(literals);
    if (!isNode(node)) return [];
    if (node.type === "Text") return [node.data as string];
    if (node.type === "Literal") return typeof node.value === "string" ? [node.value] : [];
    if (node.type === "TemplateElement") return [(node.value as { cooked: string }).cooked];
    // What is compared, looked up or handed to a function is not shown.
    if (
      node.type === "BinaryExpression" ||
      node.type === "CallExpression" ||
      node.type === "MemberExpression"
    )
      return [];
    if (node.type === "ConditionalExpression")
      return [...literals(node.consequent), ...literals(node.alternate)];
    return Object.values(node).flatMap(literals);
  };
  const walk = (node: unknown) => {
    if (Array.isArray(node)) {
      for (const each of node) walk(each);
      return;
    }
    if (!isNode(node)) return;
    if (node.type === "StyleDirective" || node.type === "ClassDirective") return;
    if (node.type === "Text") found.push(...[node.data as string].filter((text) => WORD.test(text)));
    else if (node.type === "ExpressionTag")
      found.push(...literals(node.expression).filter((text) => WORD.test(text)));
    else if (node.type === "Attribute") {
      if (SEEN.test(String(node.name))) found.push(...literals(node.value).filter((text) => WORD.test(text)));
      else if (isNode(node.value) && !/^on|^class$|^style$/u.test(String(node.name))) walkProse(node.value);
    } else for (const value of Object.values(node)) walk(value);
  };
  const walkProse = (node: unknown) => found.push(...literals(node).filter((text) => PROSE.test(text)));
  const root = parse(source, { modern: true });
  walk(root.fragment);
  const script = /<script lang="ts"(?: module)?>([\s\S]*?)<\/script>/gu;
  for (const match of source.matchAll(script)) found.push(...wordsOfScript(match[1] ?? ""));
  return found.map((text) => text.trim());
}

/** Strings of a script that read like words for people. */
function wordsOfScript(source: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node) => {
    if (ts.isImportDeclaration(node) || ts.isLiteralTypeNode(node)) return;
    // An error thrown by hand is for programmers; people see the sentence a catalogue holds.
    if (ts.isNewExpression(node) && node.expression.getText(file).endsWith("Error")) return;
    const text =
      ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)
        ? node.text
        : ts.isTemplateHead(node) || ts.isTemplateMiddle(node) || ts.isTemplateTail(node)
          ? node.text
          : null;
    if (text !== null && PROSE.test(text) && !KEYS.test(text) && !CODE.test(text)) found.push(text);
    ts.forEachChild(node, visit);
  };
  const file = ts.createSourceFile("x.ts", source, ts.ScriptTarget.Latest, true);
  visit(file);
  return found;
}

const under = (room: string) =>
  room.endsWith(".ts")
    ? [join(SRC, room)]
    : readdirSync(join(SRC, room), { recursive: true, encoding: "utf8" })
        .filter((name) => /\.(ts|svelte)$/u.test(name) && !name.endsWith(".test.ts"))
        .map((name) => join(SRC, room, name));

it("finds words that are written into a file, and only these", () => {
  expect(wordsOfComponent("<p>Loading the history</p>")).toEqual(["Loading the history"]);
  expect(wordsOfComponent('<b title="Zoom in" class="wide open">–</b>')).toEqual(["Zoom in"]);
  expect(wordsOfComponent('{#if a}{a ? "still open" : t.closed}{/if}')).toEqual(["still open"]);
  expect(
    wordsOfComponent('<b aria-label="{n} messages">{a === "paused" ? 1 : count(b, "long name")}</b>'),
  ).toEqual(["messages"]);
  expect(
    wordsOfComponent('<script lang="ts">\n  let said = "Could not copy";\n</script>\n<p>{said}</p>'),
  ).toEqual(["Could not copy"]);
  expect(wordsOfScript('export const A = { tone: "bad", word: "left alone", k: "Enter" };')).toEqual([
    "left alone",
  ]);
  expect(wordsOfScript('import x from "some lib"; throw new Error("cannot be here");')).toEqual([]);
});

it.each(CONVERTED)(
  "%s has no words of its own",
  (room) => {
    const wrong = under(room).flatMap((file) => {
      const source = readFileSync(file, "utf8");
      const words = file.endsWith(".svelte") ? wordsOfComponent(source) : wordsOfScript(source);
      return words.map((text) => `${relative(SRC, file)}: ${text}`);
    });
    expect(wrong).toEqual([]);
  },
  PATIENCE_MS,
);

it(
  "has no text that nobody shows",
  () => {
    const EN = join(SRC, "lib/text/en");
    const everything = readdirSync(SRC, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(ts|svelte)$/u.test(name) && !name.startsWith("lib/text/"))
      .map((name) => readFileSync(join(SRC, name), "utf8"))
      .join("\n");
    const unused = readdirSync(EN).flatMap((name) => {
      const source = readFileSync(join(EN, name), "utf8");
      // A group is looked up by a value, so only its own name must be used.
      return [...source.matchAll(/^ {2}(\w+):/gmu)]
        .map((match) => match[1] ?? "")
        .filter((key) => !everything.includes(`.${key}`))
        .map((key) => `${name}: ${key}`);
    });
    expect(unused).toEqual([]);
  },
  PATIENCE_MS,
);
