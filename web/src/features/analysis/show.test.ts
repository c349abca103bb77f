import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { analysisText } from "$lib/text/en/analysis";
import { isGauge } from "./show";

const rust = (name: string) =>
  readFileSync(join(import.meta.dirname, "../../../../crates/psyche-lab/src/analysis", `${name}.rs`), "utf8");

/** Where the server names what it measures: the keys are free in the contract. */
const NAMED: [file: string, names: RegExp, least: number][] = [
  ["opinions", /\(\s*"(\w+)",\s*plain\(|measures\.insert\("(\w+)"/gu, 9],
  ["shares", /(?:gauge|share)\("(\w+)"|name: "(\w+)"/gu, 7],
  ["signals", /signal\("(\w+)"/gu, 4],
];

it.each(NAMED)("every measure of %s.rs has a name for people", (file, names, least) => {
  const keys = [...rust(file).matchAll(names)].map((match) => match[1] ?? match[2] ?? "");
  expect(keys.length).toBeGreaterThanOrEqual(least);
  expect(keys.filter((key) => !isGauge(key) && !(key in analysisText.measures))).toEqual([]);
});
