/** Runs side by side, as the server aligns them: what was read so far, and how far the runs are apart. */
import { GAUGES, type ComparedTurn, type Comparison, type GaugeName, type Session } from "$lib/api/types";

/** The turns of one more page. A turn that was tried again may come on a later page than its neighbours. */
export function joined(before: readonly ComparedTurn[], page: readonly ComparedTurn[]): ComparedTurn[] {
  const rows = new Map(before.map((row) => [row.turn, row]));
  for (const row of page) {
    const known = rows.get(row.turn);
    rows.set(
      row.turn,
      known === undefined
        ? row
        : {
            turn: row.turn,
            cells: row.cells.map((cell, run) => {
              const old = known.cells[run];
              if (old === undefined) return cell;
              return { ...old, ...cell, events: [...old.events, ...cell.events] };
            }),
          },
    );
  }
  return [...rows.values()].sort((a, b) => a.turn - b.turn);
}

export interface Delta {
  /** How much higher the gauge is than in the first run, turn by turn; null where either has none. */
  values: (number | null)[];
  /** The mean of those there are, and how many that is. */
  mean: number | null;
  n: number;
}

/** How far run `run` is from the first one in one gauge. */
export function deltaOf(rows: readonly ComparedTurn[], run: number, gauge: GaugeName): Delta {
  const values = rows
    // What happened after the last words of all runs has no words, and no gauges.
    .filter(({ cells }) => cells.some((cell) => cell.message != null))
    .map(({ cells }) => cells[run]?.deltas?.[gauge] ?? null);
  const known = values.filter((value) => value !== null);
  const sum = known.reduce((total, value) => total + value, 0);
  return { values, mean: known.length === 0 ? null : sum / known.length, n: known.length };
}

/** The gauges that at least one pair of runs differs in. */
export function comparableGauges(rows: readonly ComparedTurn[]): GaugeName[] {
  return GAUGES.filter((gauge) =>
    rows.some(({ cells }) => cells.some((cell) => gauge in (cell.deltas ?? {}))),
  );
}

/** Names that can be told apart: of equal ones each gets its place behind it. */
export function runNames({ runs }: Pick<Comparison, "runs">): string[] {
  const names = runs.map(({ session }) => session.name);
  return names.map((name, at) =>
    names.filter((each) => each === name).length > 1 ? `${name} (${at + 1})` : name,
  );
}

/**
 * The run the others are compared with comes first: the one another was forked from, else the oldest. The rest stays in
 * its order.
 */
export function baselineFirst(sessions: readonly Session[]): Session[] {
  const forkedFrom = new Set(sessions.map((each) => each.parent?.session_id));
  const originals = sessions.filter((each) => forkedFrom.has(each.session_id));
  const [first] = (originals.length > 0 ? originals : sessions).toSorted(
    (a, b) => Date.parse(a.created_at) - Date.parse(b.created_at),
  );
  return first === undefined ? [] : [first, ...sessions.filter((each) => each !== first)];
}
