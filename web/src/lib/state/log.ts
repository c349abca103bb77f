/**
 * The loaded part of a session's log. It begins with a snapshot and what follows it; the past is read beside it from
 * the first event on, and takes over once it has reached what is loaded. So a long session can be looked at at once,
 * and every event is folded once.
 */
import type { Cast, Session, State, StoredEvent } from "$lib/api/types";
import type { Columns } from "./columns";
import type { FeedItem } from "./feed";
import { fromSnapshot, initial, type Now } from "./fold";
import { Reading } from "./reading";

export class Log {
  readonly #snapshot: { session: Session; state: State; seq: number };
  #shown: Reading;
  #past: Reading | null = null;

  constructor(session: Session, state: State, seq: number, cast: Cast | null) {
    this.#snapshot = { session, state, seq };
    this.first = seq + 1;
    this.cast = cast;
    this.#shown = this.#fromSnapshot();
  }

  /** The cast as it was when the session was made, once its first event is here. */
  cast: Cast | null;
  /** The first place that is shown. */
  first: number;

  get complete(): boolean {
    return this.first <= 1;
  }
  /** How far the past has been read, from the first event on. */
  get reached(): number {
    return this.complete ? this.head.seq : (this.#past?.head.seq ?? 0);
  }
  get head(): Now {
    return this.#shown.head;
  }
  get events(): readonly StoredEvent[] {
    return this.#shown.events;
  }
  get feed(): readonly FeedItem[] {
    return this.#shown.feed;
  }
  get columns(): Columns {
    return this.#shown.columns;
  }
  get notes(): Reading["notes"] {
    return this.#shown.notes;
  }
  get noted(): number {
    return this.#shown.noted;
  }

  append(event: StoredEvent): void {
    this.#shown.append(event);
  }

  /** Shows what lies right before the shown part as well. `page` begins at `first`. */
  prepend(page: readonly StoredEvent[], first: number): void {
    const older = page.filter((event) => event.seq >= first && event.seq < this.first);
    const reading = this.#fromSnapshot();
    for (const event of [...older, ...this.events]) reading.append(event);
    this.#shown = reading;
    this.first = first;
  }

  /** Reads on in the past. Events that are here already, or that leave a gap, are not taken. */
  extend(page: readonly StoredEvent[]): void {
    for (const event of page) {
      if (event.seq >= this.first || event.seq !== this.reached + 1) continue;
      this.#past ??= this.#begin(event);
      this.#fold(this.#past, event);
    }
    if (this.complete || this.#past === null || this.reached < this.first - 1) return;
    for (const event of this.events) this.#fold(this.#past, event);
    this.#shown = this.#past;
    this.#past = null;
    this.first = 1;
  }

  at(seq: number): Now {
    return this.#shown.at(seq);
  }

  endOfMark(index: number): number {
    return this.#shown.endOfMark(index);
  }

  speakerAt(seq: number): string | undefined {
    return this.#shown.speakerAt(seq);
  }

  #fold(past: Reading, event: StoredEvent): void {
    past.append(event);
    const { session, state, seq } = this.#snapshot;
    if (event.seq === seq) past.correct(fromSnapshot(session, state, seq, past.head));
  }

  #begin(created: StoredEvent): Reading {
    // Read from the log, a cast is whole: what a draft may leave out was filled in.
    if (created.type === "session_created") this.cast = created.cast as Cast;
    const situation =
      created.type === "session_created" ? created.situation : this.#snapshot.session.situation;
    return new Reading(initial(situation, this.cast));
  }

  #fromSnapshot(): Reading {
    const { session, state, seq } = this.#snapshot;
    const beginning = initial(session.situation, this.cast);
    return new Reading(fromSnapshot(session, state, seq, beginning), beginning);
  }
}
