/** Columns for line charts over turns. `undefined`: not this line's turn. `null`: a value is missing, shown as a gap. */
import { GAUGES, type GaugeName } from "$lib/api/types";
import { countUpTo, type GaugeColumns, type MessageColumns, type NetworkColumns } from "$lib/state/columns";

export type Line = (number | null | undefined)[];
export interface Series {
  x: number[];
  lines: Line[];
}

export function sentimentSeries(
  messages: MessageColumns,
  agentIds: readonly string[],
  until: number,
): Series {
  const end = countUpTo(messages.seq, until);
  const lines: Line[] = agentIds.map(() => []);
  const x: number[] = [];
  for (let i = 0; i < end; i += 1) {
    const event = messages.event[i];
    const turn = messages.turn[i];
    if (event === undefined || turn === undefined) continue;
    const line = agentIds.indexOf(event.agent_id);
    if (line < 0) continue;
    // Agents that speak at once share a turn's place on the axis only if the numbers agree.
    if (x[x.length - 1] !== turn) {
      x.push(turn);
      for (const each of lines) each.push(undefined);
    }
    const target = lines[line];
    if (target) target[x.length - 1] = event.sentiment.score;
  }
  return { x, lines };
}

/** The standardised value of each gauge by turn; of several updates within a turn the last counts. */
export function gaugeSeries(
  gauges: GaugeColumns,
  until: number,
): { x: number[]; by: Record<GaugeName, Line> } {
  const end = countUpTo(gauges.seq, until);
  const x: number[] = [];
  const by = Object.fromEntries(GAUGES.map((name) => [name, [] as Line])) as Record<GaugeName, Line>;
  for (let i = 0; i < end; i += 1) {
    const turn = gauges.turn[i] ?? 0;
    if (x[x.length - 1] !== turn) x.push(turn);
    for (const name of GAUGES) by[name][x.length - 1] = gauges.standardised[name][i] ?? null;
  }
  return { x, by };
}

export function networkSeries(network: NetworkColumns, until: number): Series {
  const end = countUpTo(network.seq, until);
  const x: number[] = [];
  const line: Line = [];
  for (let i = 0; i < end; i += 1) {
    const turn = network.turn[i] ?? 0;
    if (x[x.length - 1] !== turn) x.push(turn);
    line[x.length - 1] = network.health[i] ?? null;
  }
  return { x, lines: [line] };
}

/** Messages in each of the last `minutes` minutes before the newest message. */
export function messageRate(messages: MessageColumns, until: number, minutes: number): number[] {
  const end = countUpTo(messages.seq, until);
  const counts = new Array<number>(minutes).fill(0);
  const newest = messages.atMs[end - 1];
  if (newest === undefined) return counts;
  for (let i = end - 1; i >= 0; i -= 1) {
    const ago = Math.floor((newest - (messages.atMs[i] ?? 0)) / 60_000);
    if (ago >= minutes) break;
    const index = minutes - 1 - Math.max(0, ago);
    counts[index] = (counts[index] ?? 0) + 1;
  }
  return counts;
}

/** Who spoke in the last `window` messages. */
export function activeSpeakers(messages: MessageColumns, until: number, window: number): Set<string> {
  const end = countUpTo(messages.seq, until);
  const recent = messages.event.slice(Math.max(0, end - window), end);
  return new Set(recent.map((event) => event.agent_id).filter((id) => id !== "user"));
}
