/** Live tokens by agent: provisional, never stored, gone when the turn's own event arrives. */
import type { FrameOf, StoredEvent } from "$lib/api/types";

export interface Speech {
  turn: number;
  attempt: number;
  index: number;
  text: string;
}

export type Speaking = Readonly<Record<string, Speech>>;

type Delta = Omit<FrameOf<"delta">, "session_id">;

export function hear(speaking: Speaking, delta: Delta): Speaking {
  const known = speaking[delta.agent_id];
  const older =
    known !== undefined &&
    (delta.turn < known.turn || (delta.turn === known.turn && delta.attempt < known.attempt));
  if (older) return speaking;
  const same = known !== undefined && delta.turn === known.turn && delta.attempt === known.attempt;
  if (same && delta.index <= known.index) return speaking;
  // Tokens are dropped first under pressure: a jump is shown, not glued over.
  const missed = same ? delta.index > known.index + 1 : delta.index > 0;
  const text = (same ? known.text : "") + (missed ? "… " : "") + delta.text;
  const { turn, attempt, index } = delta;
  return { ...speaking, [delta.agent_id]: { turn, attempt, index, text } };
}

/** What is still being said after `event`. */
export function settle(speaking: Speaking, event: StoredEvent): Speaking {
  switch (event.type) {
    case "agent_message": {
      const turn = event.metadata.turn;
      return keep(speaking, (id, speech) => id !== event.agent_id || speech.turn > turn);
    }
    case "turn_failed":
      return keep(speaking, (id, speech) => id !== event.agent_id || speech.turn > event.turn);
    case "turn_abandoned":
      return keep(speaking, (_, speech) => speech.turn !== event.turn || speech.attempt > event.attempt);
    case "session_status":
      return event.status === "running" ? speaking : {};
    case "reset":
      return {};
    default:
      return speaking;
  }
}

function keep(speaking: Speaking, wanted: (id: string, speech: Speech) => boolean): Speaking {
  const entries = Object.entries(speaking);
  const kept = entries.filter(([id, speech]) => wanted(id, speech));
  return kept.length === entries.length ? speaking : Object.fromEntries(kept);
}
