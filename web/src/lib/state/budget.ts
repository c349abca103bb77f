/** Budgets as they are typed and read. */
import type { Budget, Spent } from "$lib/api/identity";
import { count } from "./format";

const money = (value: number) =>
  value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** What was spent, and of how much: "1,200 of 5,000 tokens, 0.40 in money". */
export function spentOf(spent: Spent, budget: Budget): string {
  const of = (most: string | undefined) => (most === undefined ? "" : ` of ${most}`);
  const tokens = of(budget.tokens == null ? undefined : count(budget.tokens));
  const cost = of(budget.cost == null ? undefined : money(budget.cost));
  return `${count(spent.tokens)}${tokens} tokens, ${money(spent.cost)}${cost} in money`;
}

/** A budget from two fields; an empty one is no limit. `null` where one of them is no amount. */
export function budgetFrom(tokens: string, cost: string): Budget | null {
  const budget: Budget = {};
  if (tokens.trim() !== "") {
    const value = Number(tokens);
    if (!Number.isSafeInteger(value) || value < 0) return null;
    budget.tokens = value;
  }
  if (cost.trim() !== "") {
    const value = Number(cost);
    if (!Number.isFinite(value) || value < 0) return null;
    budget.cost = value;
  }
  return budget;
}
