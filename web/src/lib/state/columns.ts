/** Plain columns over the log, filled as events come: what charts and counts read, up to any place. */
import { GAUGES, type AgentMessage, type GaugeName, type StoredEvent } from "$lib/api/types";
import { wordCount } from "./fold";

export interface MessageColumns {
  seq: number[];
  turn: number[];
  atMs: number[];
  event: AgentMessage[];
}

export interface GaugeColumns {
  seq: number[];
  turn: number[];
  /** Raw and standardised value of each gauge; null where there is none. */
  value: Record<GaugeName, (number | null)[]>;
  standardised: Record<GaugeName, (number | null)[]>;
}

export interface NetworkColumns {
  seq: number[];
  turn: number[];
  health: (number | null)[];
}

/** Something worth finding again on the timeline. `mark` is how many marks there were when it came. */
export interface Marker {
  seq: number;
  mark: number;
  kind: "stimulus" | "opened" | "closed" | "failure" | "forked" | "person" | "note";
}

export interface Mark {
  turn: number;
  seq: number;
  atMs: number;
  /** Words that were spoken; none in a turn that failed. */
  words: number;
}

export class Columns {
  readonly messages: MessageColumns = { seq: [], turn: [], atMs: [], event: [] };
  readonly gauges: GaugeColumns = { seq: [], turn: [], value: empty(), standardised: empty() };
  readonly network: NetworkColumns = { seq: [], turn: [], health: [] };
  /** Every place the playhead can stand at: what was said, and what could not be. */
  readonly marks: Mark[] = [];
  readonly markers: Marker[] = [];
  /** Starts of turns, to tell where the turn before them ends. */
  readonly starts: number[] = [];
  #turn = 0;

  add(event: StoredEvent): void {
    switch (event.type) {
      case "turn_started":
        this.starts.push(event.seq);
        this.#turn = Math.max(this.#turn, event.turn);
        return;
      case "agent_message": {
        const { turn } = event.metadata;
        this.#turn = Math.max(this.#turn, turn);
        this.messages.seq.push(event.seq);
        this.messages.turn.push(turn);
        const atMs = Date.parse(event.timestamp);
        this.messages.atMs.push(atMs);
        this.messages.event.push(event);
        this.marks.push({ turn, seq: event.seq, atMs, words: wordCount(event.content) });
        if (event.agent_id === "user") this.#marker(event, "person");
        return;
      }
      case "turn_failed":
        this.marks.push({ turn: event.turn, seq: event.seq, atMs: Date.parse(event.timestamp), words: 0 });
        this.#marker(event, "failure");
        return;
      case "stimulus_injected":
        this.#marker(event, "stimulus");
        return;
      case "emergency":
        this.#marker(event, event.action);
        return;
      case "forked":
        this.#marker(event, "forked");
        return;
      case "annotation":
        this.#marker({ seq: event.target_seq }, "note");
        return;
      case "health_update":
        this.gauges.seq.push(event.seq);
        this.gauges.turn.push(this.#turn);
        for (const name of GAUGES) {
          this.gauges.value[name].push(event.gauges[name]?.value ?? null);
          this.gauges.standardised[name].push(event.gauges[name]?.standardised ?? null);
        }
        return;
      case "network_update":
        this.network.seq.push(event.seq);
        this.network.turn.push(this.#turn);
        this.network.health.push(event.metrics.network_health);
        return;
      default:
    }
  }

  #marker({ seq }: { seq: number }, kind: Marker["kind"]): void {
    this.markers.push({ seq, mark: countUpTo(this.marks, seq), kind });
  }
}

function empty(): Record<GaugeName, (number | null)[]> {
  return {
    conflict: [],
    engagement: [],
    diversity: [],
    repetition: [],
    emotional_intensity: [],
    stagnation: [],
  };
}

/** How many of the items, ascending by seq, are at or before `limit`. */
export function countUpTo(items: readonly (number | { seq: number })[], limit: number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle] ?? Infinity;
    if ((typeof item === "number" ? item : item.seq) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
