/** What stands above the timeline: how much was said where, and the places worth finding again. */
import type { Mark, Marker } from "./columns";

const BAR_PX = 3;

export interface Strip {
  /** Mean words of each stretch, from 0 to 1 of the fullest one. */
  density: number[];
  /** Where each kind of marker stands, from 0 to 1, each place once. */
  places: Partial<Record<Marker["kind"], number[]>>;
  /** From where to where emergency paths were open, from 0 to 1. */
  emergencies: [number, number][];
  /** How often each kind occurs. */
  counts: Partial<Record<Marker["kind"], number>>;
}

/** `widthPx` is how wide it is drawn: finer than its pixels nothing can be told apart. */
export function stripOf(marks: readonly Mark[], markers: readonly Marker[], widthPx: number): Strip {
  const bins = Math.max(1, Math.min(marks.length, Math.floor(widthPx / BAR_PX)));
  const sum = new Float64Array(bins);
  const many = new Float64Array(bins);
  marks.forEach((mark, index) => {
    const bin = Math.min(bins - 1, Math.floor((index / marks.length) * bins));
    sum[bin] = (sum[bin] ?? 0) + mark.words;
    many[bin] = (many[bin] ?? 0) + 1;
  });
  const means = [...sum].map((words, bin) => words / Math.max(1, many[bin] ?? 1));
  const fullest = Math.max(1, ...means);

  const places: Strip["places"] = {};
  const counts: Strip["counts"] = {};
  const emergencies: [number, number][] = [];
  const where = (mark: number) => (marks.length === 0 ? 0 : mark / marks.length);
  for (const { kind, mark } of markers) {
    counts[kind] = (counts[kind] ?? 0) + 1;
    const last = emergencies.at(-1);
    if (kind === "opened") emergencies.push([where(mark), 1]);
    else if (kind === "closed" && last !== undefined) last[1] = where(mark);
    const known = (places[kind] ??= []);
    const at = Math.round(where(mark) * bins) / bins;
    if (known.at(-1) !== at) known.push(at);
  }
  return { density: means.map((mean) => mean / fullest), places, emergencies, counts };
}

export const KINDS: Record<Marker["kind"], [one: string, many: string]> = {
  opened: ["emergency", "emergencies"],
  closed: ["emergency over", "emergencies over"],
  stimulus: ["stimulus", "stimuli"],
  failure: ["failed turn", "failed turns"],
  forked: ["fork", "forks"],
  person: ["word of a person", "words of people"],
  note: ["note", "notes"],
};

/** The markers that stand at a place, in words. */
export function atPlace(markers: readonly Marker[], mark: number): string {
  return [...new Set(markers.filter((each) => each.mark === mark).map(({ kind }) => KINDS[kind][0]))].join(
    ", ",
  );
}

/** How many of what there is, for those who do not see the strip. */
export function inWords({ counts }: Strip): string {
  return (Object.keys(KINDS) as Marker["kind"][])
    .filter((kind) => kind !== "closed" && (counts[kind] ?? 0) > 0)
    .map((kind) => `${counts[kind] ?? 0} ${KINDS[kind][counts[kind] === 1 ? 0 : 1]}`)
    .join(", ");
}
