/** Quantiles of what the model took, over the newest messages. */
import { countUpTo, type MessageColumns } from "$lib/state/columns";

export interface ModelFigures {
  n: number;
  p50Ms: number | null;
  p95Ms: number | null;
  tokensPerSecond: number | null;
}

export function modelFigures(messages: MessageColumns, until: number, last: number): ModelFigures {
  const end = countUpTo(messages.seq, until);
  const latencies: number[] = [];
  let written = 0;
  let spentMs = 0;
  for (const { metadata } of messages.event.slice(Math.max(0, end - last), end)) {
    if (typeof metadata.latency_ms !== "number") continue;
    latencies.push(metadata.latency_ms);
    const { usage } = metadata;
    if (!usage) continue;
    written += usage.completion_tokens;
    spentMs += metadata.latency_ms;
  }
  latencies.sort((a, b) => a - b);
  return {
    n: latencies.length,
    p50Ms: quantile(latencies, 0.5),
    p95Ms: quantile(latencies, 0.95),
    tokensPerSecond: spentMs > 0 && written > 0 ? (written / spentMs) * 1000 : null,
  };
}

/** Linear between the two nearest ranks; `sorted` ascends. */
export function quantile(sorted: readonly number[], q: number): number | null {
  if (sorted.length === 0) return null;
  const place = (sorted.length - 1) * q;
  const low = sorted[Math.floor(place)] ?? 0;
  const high = sorted[Math.ceil(place)] ?? low;
  return low + (high - low) * (place - Math.floor(place));
}
