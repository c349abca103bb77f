import { expect, it, vi } from "vitest";
import { Batcher } from "./batcher";

function setUp() {
  const frames: (() => void)[] = [];
  const cancel = vi.fn();
  const batches: number[][] = [];
  const batcher = new Batcher<number>(
    (batch) => batches.push(batch),
    (flush) => {
      frames.push(flush);
      return cancel;
    },
  );
  return { batcher, batches, frames, cancel };
}

it("hands everything over once per frame, in order", () => {
  const { batcher, batches, frames } = setUp();
  for (let i = 0; i < 200; i += 1) batcher.push(i);
  expect(frames).toHaveLength(1);
  expect(batches).toEqual([]);
  frames[0]?.();
  expect(batches).toEqual([Array.from({ length: 200 }, (_, i) => i)]);
});

it("asks for a new frame only when there is something new", () => {
  const { batcher, batches, frames } = setUp();
  batcher.push(1);
  frames[0]?.();
  expect(frames).toHaveLength(1);
  batcher.push(2);
  frames[1]?.();
  expect(batches).toEqual([[1], [2]]);
});

it("delivers what comes during a delivery with the next frame", () => {
  const frames: (() => void)[] = [];
  const batches: number[][] = [];
  const batcher: Batcher<number> = new Batcher(
    (batch) => {
      batches.push(batch);
      if (batch[0] === 1) batcher.push(2);
    },
    (flush) => {
      frames.push(flush);
      return () => undefined;
    },
  );
  batcher.push(1);
  frames[0]?.();
  expect(batches).toEqual([[1]]);
  frames[1]?.();
  expect(batches).toEqual([[1], [2]]);
});

it("forgets what was queued when it is cleared", () => {
  const { batcher, batches, frames, cancel } = setUp();
  batcher.push(1);
  batcher.clear();
  expect(cancel).toHaveBeenCalled();
  frames[0]?.();
  expect(batches).toEqual([]);
});

it("delivers at once after a rest, and with the next frame in a stream", async () => {
  const frames: FrameRequestCallback[] = [];
  vi.stubGlobal("requestAnimationFrame", (work: FrameRequestCallback) => frames.push(work));
  let now = 1_000_000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  const batches: number[][] = [];
  const batcher = new Batcher<number>((batch) => batches.push(batch));
  batcher.push(1);
  batcher.push(2);
  expect(batches).toEqual([]);
  await vi.waitFor(() => expect(batches).toEqual([[1, 2]]));
  expect(frames).toHaveLength(0);

  now += 1;
  batcher.push(3);
  expect(frames).toHaveLength(1);
  frames[0]?.(now);
  expect(batches).toEqual([[1, 2], [3]]);

  now += 100;
  batcher.push(4);
  batcher.clear();
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(batches).toHaveLength(2);
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});
