/**
 * The loaded part of a session's log and every reading of it: the state at any place, the feed, the columns.
 * A seek starts at the nearest checkpoint, so its cost does not grow with the length of the session.
 */
import type { Cast, Session, State, StoredEvent } from "$lib/api/types";
import { Columns, countUpTo } from "./columns";
import { feedItem, type FeedItem } from "./feed";
import { applyFrom, fromSnapshot, initial, type Now } from "./fold";

const CHECKPOINT_EVERY = 256;

export class Log {
  events: StoredEvent[] = [];
  feed: FeedItem[] = [];
  columns = new Columns();
  /** Fold results, ascending by seq. The first is the beginning or, until history is here, the snapshot. */
  #checkpoints: Now[];
  #beginning: Now;
  #head: Now;
  #step: (now: Now, event: StoredEvent) => Now;
  /** Whether the session has been running since it was made or reset. */
  #ran = false;
  #snapshot: { session: Session; state: State; seq: number };

  constructor(session: Session, state: State, seq: number, cast: Cast | null) {
    this.#snapshot = { session, state, seq };
    this.first = seq + 1;
    this.cast = cast;
    this.#beginning = initial(session.situation, cast);
    this.#step = applyFrom(this.#beginning);
    this.#head = fromSnapshot(session, state, seq, this.#beginning);
    this.#checkpoints = [this.#head];
  }

  /** The cast as it was when the session was made, once its first event is here. */
  cast: Cast | null;
  /** The first loaded place; everything before it is not here yet. */
  first: number;

  get complete(): boolean {
    return this.first <= 1;
  }

  get head(): Now {
    return this.#head;
  }

  append(event: StoredEvent): void {
    this.events.push(event);
    this.#index(event);
    this.#head = this.#step(this.#head, event);
    if (this.events.length % CHECKPOINT_EVERY === 0) this.#checkpoints.push(this.#head);
  }

  /** Puts the events from `first` on before the loaded ones, and folds anew once the beginning is reached. */
  prepend(page: StoredEvent[], first: number): void {
    this.events = [...page.filter((event) => event.seq < this.first), ...this.events];
    this.first = first;
    this.feed = [];
    this.columns = new Columns();
    this.#ran = false;
    for (const event of this.events) this.#index(event);
    if (!this.complete) return;
    const created = this.events[0];
    if (created?.type === "session_created") {
      // Read from the log, a cast is whole: what a draft may leave out was filled in.
      const cast = created.cast as Cast;
      this.cast = cast;
      this.#beginning = initial(created.situation, cast);
      this.#step = applyFrom(this.#beginning);
    }
    this.#refold();
  }

  /** The state after event `seq`; the nearest loaded one when the past is not here. */
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

  #refold(): void {
    let now = this.#beginning;
    this.#checkpoints = [now];
    this.events.forEach((event, index) => {
      now = this.#step(now, event);
      if (event.seq === this.#snapshot.seq) {
        now = fromSnapshot(this.#snapshot.session, this.#snapshot.state, event.seq, now);
        this.#checkpoints.push(now);
      } else if (index % CHECKPOINT_EVERY === CHECKPOINT_EVERY - 1) {
        this.#checkpoints.push(now);
      }
    });
    this.#head = now;
  }

  #index(event: StoredEvent): void {
    this.columns.add(event);
    const item = feedItem(event, this.#ran);
    if (item !== null) this.feed.push(item);
    if (event.type === "session_status") this.#ran = event.status !== "created";
  }
}
