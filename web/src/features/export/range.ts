/** Turns as a range of events, for what asks for events. */
export interface Mark {
  turn: number;
  seq: number;
}

/**
 * The events of the turns `from` to `to`; `endOf` gives the last event that belongs to a mark. From the first turn on
 * the beginning of the session belongs to it.
 */
export function eventsOfTurns(
  marks: readonly Mark[],
  from: number,
  to: number,
  endOf: (mark: number) => number,
): { from: number; to: number } | null {
  const first = marks.findIndex((mark) => mark.turn >= from);
  const last = marks.findLastIndex((mark) => mark.turn <= to);
  if (first < 0 || last < first) return null;
  return { from: first === 0 ? 1 : endOf(first - 1) + 1, to: endOf(last) };
}
