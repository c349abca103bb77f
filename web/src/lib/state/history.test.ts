import { expect, it } from "vitest";
// @ts-expect-error the made-up session is plain JavaScript, shared with the pictures
import * as made from "../../../test-support/conversation.mjs";
import { ApiError } from "$lib/api/errors";
import type { Session, State, StoredEvent } from "$lib/api/types";
import { loadHistory, PAGE, type HistoryOptions } from "./history";
import { Log } from "./log";

const { makeLog, makeSession, makeState } = made as {
  makeLog: (id: string, rounds: number, quiet?: boolean) => StoredEvent[];
  makeSession: (id: string, events: StoredEvent[]) => Session;
  makeState: (events: StoredEvent[]) => State;
};
const events = makeLog("s", 100);

function setting(at: number, more: Partial<HistoryOptions> = {}) {
  const past = events.slice(0, at);
  const log = new Log(makeSession("s", past), makeState(past), at, null);
  const asked: number[] = [];
  const options: HistoryOptions = {
    page: (after, limit) => {
      asked.push(after);
      return Promise.resolve({ items: events.slice(after, after + limit) });
    },
    wanted: () => true,
    grew: () => undefined,
    wait: () => Promise.resolve(),
    ...more,
  };
  return { log, asked, options };
}

it.each([1, 50, PAGE, 2 * PAGE, 2 * PAGE + 1, events.length])("reads all of %i events once", async (at) => {
  const { log, asked, options } = setting(at);
  await loadHistory(log, options);
  expect(log.complete).toBe(true);
  expect(log.events.map((event) => event.seq)).toEqual(events.slice(0, at).map((event) => event.seq));
  expect(new Set(asked).size).toBe(asked.length);
  expect(asked.length).toBe(Math.ceil(at / PAGE));
});

it("shows the newest pages before the rest is here", async () => {
  const { log, options } = setting(events.length);
  const seen: [number, boolean][] = [];
  await loadHistory(log, { ...options, grew: () => seen.push([log.first, log.complete]) });
  expect(seen).toEqual([
    [events.length - 2 * PAGE + 1, false],
    [1, true],
  ]);
});

it("waits as long as the server asks, and goes on", async () => {
  const waits: number[] = [];
  let refused = 0;
  const { log, options } = setting(events.length);
  const { page } = options;
  await loadHistory(log, {
    ...options,
    page: (after, limit) =>
      after === 400 && refused++ < 2
        ? Promise.reject(new ApiError(429, "rate_limited", "slowly", null, 7))
        : page(after, limit),
    wait: (seconds) => Promise.resolve(void waits.push(seconds)),
  });
  expect(waits).toEqual([7, 7]);
  expect(log.complete).toBe(true);
});

it("ends with the error of a page that cannot be had, and goes on from there when asked again", async () => {
  const { log, options } = setting(events.length);
  let broken = true;
  const page: HistoryOptions["page"] = (after, limit) =>
    broken && after === 600
      ? Promise.reject(new ApiError(503, "unavailable", "gone"))
      : options.page(after, limit);
  await expect(loadHistory(log, { ...options, page })).rejects.toThrow("gone");
  expect(log.reached).toBe(600);
  broken = false;
  await loadHistory(log, { ...options, page });
  expect(log.complete).toBe(true);
});

it("takes an answer that is shorter than asked for", async () => {
  const { log, options } = setting(events.length);
  const page: HistoryOptions["page"] = (after, limit) => options.page(after, Math.min(limit, 70));
  await loadHistory(log, { ...options, page });
  expect(log.complete).toBe(true);
});

it("says so when the server leaves a gap, and stops when nobody wants it any longer", async () => {
  const { log, options } = setting(events.length);
  await expect(
    loadHistory(log, {
      ...options,
      page: (after, limit) => (after === 800 ? Promise.resolve({ items: [] }) : options.page(after, limit)),
    }),
  ).rejects.toThrow("no event after 800");
  const other = setting(events.length, { wanted: () => false });
  await loadHistory(other.log, other.options);
  expect(other.log.complete).toBe(false);
});
