/** The paths of a session as a square of choices. */
import type { Path, StoredEvent } from "$lib/api/types";

export type Kind = "none" | "normal" | "emergency";
export const KINDS: readonly Kind[] = ["none", "normal", "emergency"];

export const key = (from: string, to: string) => `${from}→${to}`;

/** The paths in force: the last that were set in this session, else the cast's. A reset brings the cast's back. */
export function pathsInForce(events: readonly StoredEvent[], cast: readonly Path[]): readonly Path[] {
  for (const event of [...events].reverse()) {
    if (event.type === "paths_changed") return event.paths;
    if (event.type === "reset") return cast;
  }
  return cast;
}

export function square(paths: readonly Path[]): Map<string, Kind> {
  return new Map(paths.map(({ from, to, kind }) => [key(from, to), kind ?? "normal"]));
}

/** The chosen paths, each hearing as far back as it did; new ones as far as the server thinks right. */
export function chosen(
  ids: readonly string[],
  kinds: ReadonlyMap<string, Kind>,
  before: readonly Path[],
): Path[] {
  const windows = new Map(before.map((path) => [key(path.from, path.to), path.window]));
  return ids.flatMap((from) =>
    ids.flatMap((to) => {
      const kind = kinds.get(key(from, to)) ?? "none";
      if (from === to || kind === "none") return [];
      const window = windows.get(key(from, to));
      return [{ from, to, kind, ...(window === undefined ? {} : { window }) }];
    }),
  );
}
