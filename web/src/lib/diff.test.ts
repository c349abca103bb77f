import { describe, expect, it } from "vitest";
import { diffLines } from "./diff";

const texts = ["", "a", "a\nb\nc", "a\nc", "c\nb\na", "x\na\nb\ny\nc", "a\na\nb", "\n\n"];
const pairs = texts.flatMap((before) => texts.map((after) => [before, after] as const));

describe("a difference", () => {
  it.each(pairs)("of %j and %j gives both back", (before, after) => {
    const lines = diffLines(before, after);
    const without = (kind: string) =>
      lines
        .filter((line) => line.kind !== kind)
        .map(({ text }) => text)
        .join("\n");
    expect(without("added")).toBe(before);
    expect(without("removed")).toBe(after);
  });

  it("keeps what stays", () => {
    expect(diffLines("a\nb\nc", "a\nx\nc")).toEqual([
      { kind: "same", text: "a" },
      { kind: "removed", text: "b" },
      { kind: "added", text: "x" },
      { kind: "same", text: "c" },
    ]);
  });

  it("shows texts that are too long to compare whole", () => {
    const long = Array.from({ length: 401 }, (_, at) => String(at)).join("\n");
    expect(diffLines(long, long).filter(({ kind }) => kind === "same")).toEqual([]);
  });
});
