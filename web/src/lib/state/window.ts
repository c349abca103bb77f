/** Which rows of a long list are on the page: those at its end, or those around a reader who has gone back. */
export interface Rows {
  start: number;
  /** Null while the end of the list is followed. */
  end: number | null;
}

/** Rows drawn at once after a seek, which fill a screen … */
export const FEW = 12;
/** … and once the playhead rests; then so many more at a time. There are never more than `MOST`. */
export const FIRST = 36;
export const STEP = 40;
/** Rows that go at a time while the end is followed: whatever goes above makes all that stay be painted again. */
export const SHED = 12;
/** No row is lower, with the gap above it: a note of one line. */
const LOWEST_PX = 40;
export const MOST = 160;

export function following(length: number, rows = FIRST): Rows {
  return { start: Math.max(0, length - rows), end: null };
}

/** The same place, with older rows. Rows at the other end go when there are too many. */
export function older({ start, end }: Rows, length: number): Rows {
  const from = Math.max(0, start - STEP);
  const to = end ?? length;
  return { start: from, end: to - from > MOST ? from + MOST : end };
}

/** The same place, with newer rows; followed again once the end is reached. */
export function newer({ start, end }: Rows, length: number): Rows {
  const to = Math.min(length, (end ?? length) + STEP);
  return { start: Math.max(start, to - MOST), end: to >= length ? null : to };
}

/** Rows that are kept while the end is followed: what fills a screen for sure. Each costs something at every frame. */
export function kept(heightPx: number): number {
  return Math.max(FEW, Math.ceil(heightPx / LOWEST_PX));
}

/** While the end is followed, the list grows at its end and gives up rows at its start. */
export function follow({ start }: Rows, length: number, keep: number): Rows {
  const from = start > length ? length - FIRST : start;
  const most = Math.floor((length - keep) / SHED) * SHED;
  return { start: Math.max(0, from, most), end: null };
}

/** Rows with `index` among them, as far from both ends as can be. */
export function around(index: number, length: number): Rows {
  const end = Math.min(length, index + FIRST / 2);
  return { start: Math.max(0, end - FIRST), end: end >= length ? null : end };
}
