import { describe, expect, it } from "vitest";
import { budgetFrom, spentOf } from "./budget";

describe("budgets", () => {
  it("are read from two fields, of which an empty one is no limit", () => {
    const cases: [string, string, unknown][] = [
      ["", "", {}],
      ["5000", "", { tokens: 5000 }],
      [" 0 ", "2.5", { tokens: 0, cost: 2.5 }],
      ["1.5", "", null],
      ["-1", "", null],
      ["many", "", null],
      ["", "-0.1", null],
      ["", "1e999", null],
    ];
    for (const [tokens, cost, budget] of cases) expect(budgetFrom(tokens, cost)).toEqual(budget);
  });

  it("say what was spent of how much", () => {
    const spent = { tokens: 1200, cost: 0.4 };
    expect(spentOf(spent, {})).toBe("1,200 tokens, 0.40 in money");
    expect(spentOf(spent, { tokens: 5000, cost: 2 })).toBe("1,200 of 5,000 tokens, 0.40 of 2.00 in money");
    expect(spentOf(spent, { tokens: 0 })).toBe("1,200 of 0 tokens, 0.40 in money");
  });
});
