/** The stretches during which the emergency paths were open. */
import { countUpTo } from "$lib/state/columns";
import type { FeedItem } from "$lib/state/feed";
import type { EmergencyEvent } from "$lib/api/types";

export interface Stretch {
  seq: number;
  at: string;
  /** The highest level that was reached. */
  level: EmergencyEvent["level"];
  /** Standardised, when it opened. */
  stagnation: number;
  closedSeq: number | null;
  lastedMs: number | null;
}

/** Newest first; what is still open at `until` has no end. */
export function stretches(feed: readonly FeedItem[], until: number): Stretch[] {
  const found: Stretch[] = [];
  for (const item of feed.slice(0, countUpTo(feed, until))) {
    if (item.kind !== "emergency") continue;
    const { event, seq, at } = item;
    const last = found.at(-1);
    const open = last?.closedSeq === null ? last : undefined;
    if (event.action === "opened") {
      if (open) open.level = event.level;
      else
        found.push({
          seq,
          at,
          level: event.level,
          stagnation: event.stagnation,
          closedSeq: null,
          lastedMs: null,
        });
    } else if (open) {
      open.closedSeq = seq;
      open.lastedMs = Date.parse(at) - Date.parse(open.at);
    }
  }
  return found.reverse();
}
