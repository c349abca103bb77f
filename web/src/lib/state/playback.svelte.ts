/** Plays a session again: moves the playhead from turn to turn in the rhythm in which it was spoken. */
import type { Mark } from "./columns";

export const SPEEDS = [0.5, 1, 2, 4, 8] as const;
export type Speed = (typeof SPEEDS)[number];

/** A turn stays at least this long at normal speed, so that its words can be seen … */
const SHORTEST_MS = 300;
/** … and a pause of hours is not waited out. */
const LONGEST_MS = 3000;

export interface Played {
  /** The mark looked at, or null when following live. */
  readonly playhead: number | null;
  readonly marks: readonly Mark[];
  readonly markCount: number;
  seek(mark: number): void;
}

/** How long mark `at` is looked at before the next one comes. */
export function stay(marks: readonly Mark[], at: number, speed: number): number {
  const shown = marks[at - 1]?.atMs;
  const next = marks[at]?.atMs;
  const gap = shown === undefined || next === undefined ? SHORTEST_MS : next - shown;
  const clipped = Number.isFinite(gap) ? Math.min(LONGEST_MS, Math.max(SHORTEST_MS, gap)) : SHORTEST_MS;
  return clipped / speed;
}

export class Playback {
  playing = $state(false);
  speed = $state<Speed>(1);
  readonly #of: Played;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(of: Played) {
    this.#of = of;
  }

  /** From the playhead on; from the first turn when following live. */
  play(): void {
    if (this.#of.markCount === 0) return;
    if (this.#of.playhead === null) this.#of.seek(this.#of.markCount > 1 ? 1 : 0);
    this.playing = true;
    this.#wait();
  }

  pause(): void {
    this.playing = false;
    clearTimeout(this.#timer);
  }

  toggle(): void {
    if (this.playing) this.pause();
    else this.play();
  }

  setSpeed(speed: Speed): void {
    this.speed = speed;
    if (this.playing) this.#wait();
  }

  faster(by: 1 | -1): void {
    const at = SPEEDS.indexOf(this.speed) + by;
    this.setSpeed(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, at))] ?? 1);
  }

  #wait(): void {
    clearTimeout(this.#timer);
    const at = this.#of.playhead;
    // Whoever went back to live has ended the replay.
    if (at === null) {
      this.pause();
      return;
    }
    this.#timer = setTimeout(
      () => {
        if (this.#of.playhead !== null) this.#of.seek(this.#of.playhead + 1);
        this.#wait();
      },
      stay(this.#of.marks, at, this.speed),
    );
  }
}
