/**
 * Events in the order of the log and every reading of them: the state at any place, the feed, the columns.
 * A seek starts at the nearest checkpoint, so its cost does not grow with the length of the session.
 */
import type { Annotation, StoredEvent } from "$lib/api/types";
import { Columns, countUpTo } from "./columns";
import { feedItem, type FeedItem } from "./feed";
import { applyFrom, type Now } from "./fold";

const CHECKPOINT_EVERY = 256;

export class Reading {
  readonly events: StoredEvent[] = [];
  readonly feed: FeedItem[] = [];
  readonly columns = new Columns();
  /** What people wrote about an event, by its place. */
  readonly notes = new Map<number, readonly Annotation[]>();
  /** How many notes there are in all. */
  noted = 0;
  #head: Now;
  /** Fold results, ascending by seq, from the start on. */
  readonly #checkpoints: Now[];
  readonly #step: (now: Now, event: StoredEvent) => Now;
  /** Whether the session has been running since it was made or reset. */
  #ran = false;

  /** `start` is the state that the first folded event is applied to; `beginning` is where a reset leads. */
  constructor(start: Now, beginning: Now = start) {
    this.#head = start;
    this.#checkpoints = [start];
    this.#step = applyFrom(beginning);
  }

  get head(): Now {
    return this.#head;
  }

  /** An event that the start holds already is read, and not folded a second time. */
  append(event: StoredEvent): void {
    this.events.push(event);
    this.columns.add(event);
    if (!this.#note(event)) {
      const item = feedItem(event, this.#ran);
      if (item !== null) this.feed.push(item);
    }
    if (event.type === "session_status") this.#ran = event.status !== "created";
    if (event.seq <= this.#head.seq) return;
    this.#head = this.#step(this.#head, event);
    if (this.events.length % CHECKPOINT_EVERY === 0) this.#checkpoints.push(this.#head);
  }

  /** The server's own word on the state at the head. */
  correct(head: Now): void {
    this.#head = head;
    this.#checkpoints.push(head);
  }

  /** The state after event `seq`; the nearest one when that lies before the start. */
  at(seq: number): Now {
    if (seq >= this.#head.seq) return this.#head;
    let now = this.#checkpoints[countUpTo(this.#checkpoints, seq) - 1] ?? this.#checkpoints[0] ?? this.#head;
    for (let i = countUpTo(this.events, now.seq); i < this.events.length; i += 1) {
      const event = this.events[i];
      if (event === undefined || event.seq > seq) break;
      now = this.#step(now, event);
    }
    return now;
  }

  /** The last place that belongs to mark `index`: just before the next turn begins or speaks. */
  endOfMark(index: number): number {
    const { marks, starts } = this.columns;
    const mark = marks[index];
    const next = marks[index + 1];
    if (mark === undefined || next === undefined) return this.#head.seq;
    const start = starts[countUpTo(starts, mark.seq)] ?? Infinity;
    return Math.min(start, next.seq) - 1;
  }

  /** Who said what stands at `seq`; undefined where nobody did. */
  speakerAt(seq: number): string | undefined {
    const { messages } = this.columns;
    const index = countUpTo(messages.seq, seq) - 1;
    return messages.seq[index] === seq ? messages.event[index]?.agent_id : undefined;
  }

  /** A note on something that the feed shows stands there, and not as an item of its own. */
  #note(event: StoredEvent): boolean {
    if (event.type !== "annotation") return false;
    this.noted += 1;
    this.notes.set(event.target_seq, [...(this.notes.get(event.target_seq) ?? []), event]);
    return this.feed[countUpTo(this.feed, event.target_seq) - 1]?.seq === event.target_seq;
  }
}
