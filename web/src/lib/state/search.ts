/** Finds messages by their words, and reads on where it stopped: a long conversation is not read again for each event. */
import { countUpTo } from "./columns";
import type { FeedItem } from "./feed";

export interface Searched {
  readonly feed: readonly FeedItem[];
  readonly notes: ReadonlyMap<number, readonly { text: string; tags: readonly string[] }[]>;
}

export class Finder {
  #query = "";
  #of: readonly FeedItem[] = [];
  #read = 0;
  #noted = -1;
  #found: FeedItem[] = [];

  /** What matches at or before `until`. `noted` says how many notes there are, as notes come to old messages. */
  find(
    log: Searched & { readonly noted: number },
    query: string,
    until: number,
    name: (id: string) => string,
  ): FeedItem[] {
    const same = query === this.#query && log.feed === this.#of && log.noted === this.#noted;
    if (!same) {
      this.#query = query;
      this.#of = log.feed;
      this.#noted = log.noted;
      this.#read = 0;
      this.#found = [];
    }
    for (; this.#read < log.feed.length; this.#read += 1) {
      const item = log.feed[this.#read];
      if (item !== undefined && matches(item, query, log, name)) this.#found.push(item);
    }
    return until === Infinity ? this.#found : this.#found.slice(0, countUpTo(this.#found, until));
  }
}

function matches(item: FeedItem, query: string, log: Searched, name: (id: string) => string): boolean {
  const has = (text: string) => text.toLowerCase().includes(query);
  const tag = query.startsWith("#") ? query.slice(1) : query;
  const noted = log.notes
    .get(item.seq)
    ?.some((note) => has(note.text) || note.tags.some((each) => each.toLowerCase().includes(tag)));
  if (noted === true) return true;
  if (item.kind === "message") return has(item.event.content) || has(name(item.event.agent_id));
  return item.kind === "stimulus" && has(item.event.text);
}

/** The parts of a text: every second one is what was searched for. */
export function parts(text: string, query: string): string[] {
  if (query === "") return [text];
  const found: string[] = [];
  const low = text.toLowerCase();
  // Some letters are longer in lower case: then places would not fit.
  if (low.length !== text.length) return [text];
  let from = 0;
  for (let at = low.indexOf(query); at >= 0; at = low.indexOf(query, from)) {
    found.push(text.slice(from, at), text.slice(at, at + query.length));
    from = at + query.length;
  }
  return [...found, text.slice(from)];
}
