/** What a gauge's number means: its direction, its words, its recent course. */
import type { Gauge, GaugeName } from "$lib/api/types";
import { countUpTo, type GaugeColumns } from "$lib/state/columns";

/** Where the judgement changes, on the standardised scale. */
export const WATCH_AT = 0.4;
export const BAD_AT = 0.7;

export type Judgement = "good" | "watch" | "bad";

/** For engagement and diversity low is bad; for the others high is. */
export function lowIsBad(name: GaugeName): boolean {
  return name === "engagement" || name === "diversity";
}

export function judge(name: GaugeName, level: Gauge["level"] | undefined): Judgement | null {
  if (!level) return null;
  if (level === "moderate") return "watch";
  return (level === "low") === lowIsBad(name) ? "bad" : "good";
}

/** The last `points` raw values at or before `until`; gaps stay gaps. */
export function recent(
  columns: GaugeColumns,
  name: GaugeName,
  until: number,
  points: number,
): readonly (number | null)[] {
  const end = countUpTo(columns.seq, until);
  return columns.value[name].slice(Math.max(0, end - points), end);
}
