/** Numbers of the analysis in words. */
import type { Agent, GaugeName } from "$lib/api/types";
import { GAUGES } from "$lib/api/types";
import { fixed } from "$lib/state/format";
import { capital } from "$lib/state/format";
import { analysisText as t } from "$lib/text/en/analysis";
import { gaugeText } from "$lib/text/en/gauges";

type Measure = keyof typeof t.measures;

export function isGauge(name: string): name is GaugeName {
  return (GAUGES as readonly string[]).includes(name);
}

export function measureName(name: string): string {
  if (isGauge(name)) return gaugeText.titles[name];
  return name in t.measures ? t.measures[name as Measure] : capital(name);
}

export function intervalWords(interval: readonly number[] | null | undefined, digits = 2): string {
  const [low, high] = interval ?? [];
  if (low === undefined || high === undefined) return "–";
  return t.intervalOf({ low: fixed(low, digits), high: fixed(high, digits) });
}

/** A p-value as it is written in papers. */
export function pValue(p: number | null | undefined): string {
  if (p === null || p === undefined) return "–";
  return p < 0.001 ? "< .001" : p.toFixed(3).replace(/^0/u, "");
}

export function speakerName(id: string, agents: readonly Agent[]): string {
  if (id === "user") return t.people;
  if (id === "all") return t.everyone;
  return agents.find((agent) => agent.id === id)?.name ?? id;
}

export function interventionName(kind: string, detail: string | null | undefined): string {
  const word = kind in t.kinds ? t.kinds[kind as keyof typeof t.kinds] : kind;
  return detail ? t.interventionDetail({ kind: word, detail }) : word;
}
