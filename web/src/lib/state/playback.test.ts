import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Mark } from "./columns";
import { Playback, stay, type Played } from "./playback.svelte";

const marks = (...atMs: number[]): Mark[] =>
  atMs.map((at, turn) => ({ turn: turn + 1, seq: turn, atMs: at, words: 1 }));

class Session implements Played {
  playhead: number | null = null;
  constructor(readonly marks: readonly Mark[]) {}
  get markCount() {
    return this.marks.length;
  }
  seek(mark: number) {
    this.playhead = mark >= this.markCount ? null : mark;
  }
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it.each([
  [1000, 1, 1000],
  [1000, 4, 250],
  [1000, 0.5, 2000],
  [5, 1, 300],
  [3_600_000, 1, 3000],
  [-50, 1, 300],
  [NaN, 1, 300],
])("a gap of %d ms at speed %d lasts %d ms", (gap, speed, expected) => {
  expect(stay(marks(0, gap), 1, speed)).toBe(expected);
});

it("plays from the first turn to the present, and then follows live", () => {
  const session = new Session(marks(0, 1000, 2000, 3000));
  const playback = new Playback(session);
  playback.play();
  expect(session.playhead).toBe(1);
  vi.advanceTimersByTime(999);
  expect(session.playhead).toBe(1);
  vi.advanceTimersByTime(1);
  expect(session.playhead).toBe(2);
  vi.advanceTimersByTime(2000);
  expect(session.playhead).toBeNull();
  expect(playback.playing).toBe(false);
  expect(vi.getTimerCount()).toBe(0);
});

it("goes on from where somebody has moved the playhead, at the speed that was chosen", () => {
  const session = new Session(marks(0, 1000, 2000, 3000, 4000, 5000));
  const playback = new Playback(session);
  playback.play();
  session.seek(4);
  playback.setSpeed(2);
  vi.advanceTimersByTime(500);
  expect(session.playhead).toBe(5);
  playback.pause();
  vi.advanceTimersByTime(60_000);
  expect(session.playhead).toBe(5);
});

it("ends when somebody follows live, and does nothing where nothing was said", () => {
  const session = new Session(marks(0, 1000, 2000));
  const playback = new Playback(session);
  playback.play();
  session.seek(Infinity);
  vi.advanceTimersByTime(3000);
  expect(session.playhead).toBeNull();
  expect(playback.playing).toBe(false);
  new Playback(new Session([])).play();
  expect(vi.getTimerCount()).toBe(0);
});

it("changes the speed within its bounds", () => {
  const playback = new Playback(new Session([]));
  for (let i = 0; i < 9; i += 1) playback.faster(1);
  expect(playback.speed).toBe(8);
  for (let i = 0; i < 9; i += 1) playback.faster(-1);
  expect(playback.speed).toBe(0.5);
});
