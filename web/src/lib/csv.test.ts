import { expect, it } from "vitest";
import { toCsv } from "./csv";

it("quotes what must be quoted and leaves a missing value empty", () => {
  expect(toCsv([["a", 'say "no", please', null, 0.5]])).toBe('a,"say ""no"", please",,0.5\r\n');
});

it.each(["=1+1", "+1", "-1", "@x", "\tx"])("neutralises %j, which a spreadsheet would run", (cell) => {
  expect(toCsv([[cell]])).toBe(`'${cell}\r\n`);
});

it("leaves numbers as they are", () => {
  expect(toCsv([[-0.25]])).toBe("-0.25\r\n");
});
