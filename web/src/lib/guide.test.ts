import { describe, expect, it } from "vitest";
import { anchorOf, blocksOf } from "../../scripts/guide";
import { helpFor, loadPage, PAGES, placeOf } from "./guide";

describe("Markdown as blocks", () => {
  it("knows headings, words, lists, tables and code", () => {
    expect(
      blocksOf(
        "# A `b` c\n\nOne **two** `x<y` [three](t.md).\n\n* a\n* b\n\n| h | n |\n|---|--:|\n| c | 1 |\n\n```\ncode\n```",
      ),
    ).toEqual([
      { kind: "heading", level: 1, id: "a-b-c", parts: ["A ", { kind: "code", text: "b" }, " c"] },
      {
        kind: "paragraph",
        parts: [
          "One ",
          { kind: "strong", parts: ["two"] },
          " ",
          { kind: "code", text: "x<y" },
          " ",
          { kind: "link", href: "t.md", parts: ["three"] },
          ".",
        ],
      },
      {
        kind: "list",
        ordered: false,
        items: [[{ kind: "text", parts: ["a"] }], [{ kind: "text", parts: ["b"] }]],
      },
      { kind: "table", head: [["h"], ["n"]], rows: [[["c"], ["1"]]], numbers: [false, true] },
      { kind: "code", text: "code" },
    ]);
  });

  it("keeps HTML as the text that it is", () => {
    const text = JSON.stringify(blocksOf("a <b onclick=x>b</b>\n\n<script>x</script>"));
    expect(text).toContain("<script>x</script>");
    expect(text).not.toContain('"kind":"html"');
  });

  it("names headings as GitHub does", () => {
    expect(anchorOf("How to read a gauge, exactly: 0–1")).toBe("how-to-read-a-gauge-exactly-01");
  });
});

describe("the guide", () => {
  it("has the measures as its first page, and every page a title", () => {
    expect(PAGES[0]?.name).toBe("measures");
    expect(PAGES.filter(({ title }) => title === "")).toEqual([]);
  });

  it("loads its pages, and knows what is none", async () => {
    expect((await loadPage("measures"))?.[0]).toMatchObject({ kind: "heading", level: 1 });
    expect(loadPage("no/such")).toBeNull();
  });

  it.each([
    ["#conflict", "measures", { name: "measures", at: "conflict" }],
    ["../measures.md#stagnation", "guide/analysis", { name: "measures", at: "stagnation" }],
    ["measures.md", "other", { name: "measures", at: "" }],
    ["https://example.org/measures.md", "measures", null],
    ["../crates/psyche-core/src/lib.rs", "measures", null],
  ])("a link to %s from %s", (href, from, expected) => {
    expect(placeOf(href, from)).toEqual(expected);
  });

  it("has no link that leads nowhere", async () => {
    const wrong: string[] = [];
    for (const { name } of PAGES) {
      const text = JSON.stringify(await loadPage(name));
      for (const [, href = ""] of text.matchAll(/"kind":"link","href":"([^"]+)"/gu)) {
        const place = placeOf(href, name);
        if (place === null || place.at === "") continue;
        const target = JSON.stringify(await loadPage(place.name));
        if (!target.includes(`"id":"${place.at}"`)) wrong.push(`${name}: ${href}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it.each(["conflict", "engagement", "diversity", "repetition", "emotional_intensity", "stagnation"])(
    "explains %s",
    async (measure) => {
      const [, name = "", at = ""] = /^#\/help\/([^?]+)(?:\?at=(.+))?$/u.exec(helpFor(measure)) ?? [];
      const page = JSON.stringify(await loadPage(name));
      expect(at === "" || page.includes(`"id":"${at}"`)).toBe(true);
    },
  );
});
