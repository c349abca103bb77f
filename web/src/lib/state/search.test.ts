import { expect, it } from "vitest";
import type { FeedItem } from "./feed";
import { Finder, parts } from "./search";

const message = (seq: number, content: string) =>
  ({ kind: "message", seq, at: "", event: { content, agent_id: "ego" } }) as unknown as FeedItem;
const name = (id: string) => (id === "ego" ? "Ego" : id);

function log() {
  return {
    feed: [message(1, "A Letter"), message(4, "no"), message(9, "the letter again")],
    notes: new Map<number, { text: string; tags: string[] }[]>(),
    noted: 0,
  };
}

it("finds words and speakers, whatever their case, up to the playhead", () => {
  const finder = new Finder();
  const seqs = (query: string, until = Infinity) =>
    finder.find(log(), query, until, name).map(({ seq }) => seq);
  expect(seqs("letter")).toEqual([1, 9]);
  expect(seqs("letter", 8)).toEqual([1]);
  expect(seqs("ego")).toEqual([1, 4, 9]);
  expect(seqs("nothing of this")).toEqual([]);
});

it("reads each item once, and again only when notes have come", () => {
  const finder = new Finder();
  const of = log();
  let asked = 0;
  const find = (query: string) => finder.find(of, query, Infinity, (id) => (asked++, name(id)));
  find("letter again");
  expect(asked).toBe(2);
  of.feed.push(message(12, "one more"));
  find("letter again");
  expect(asked).toBe(3);
  of.notes.set(4, [{ text: "the turning point", tags: ["Key"] }]);
  of.noted = 1;
  expect(find("turning").map(({ seq }) => seq)).toEqual([4]);
  expect(find("#key").map(({ seq }) => seq)).toEqual([4]);
});

it.each([
  ["a letter, a Letter", "letter", ["a ", "letter", ", a ", "Letter", ""]],
  ["none", "letter", ["none"]],
  ["all", "", ["all"]],
  ["İstanbul letter", "letter", ["İstanbul letter"]],
])("tells the parts of %j for %j", (text, query, expected) => {
  expect(parts(text, query)).toEqual(expected);
});
