/** Brings a session's past: first what lies right before the present, then everything from the beginning on. */
import { asApiError, type ApiError } from "$lib/api/errors";
import type { Page, StoredEvent } from "$lib/api/types";
import type { Log } from "./log";

/** As much as the server gives at once. */
export const PAGE = 200;
/** Pages before the present that are read first, so that there is something to read at once. */
const FIRST_PAGES = 2;
/** Questions under way at the same time. */
const AT_ONCE = 3;
const LONGEST_WAIT_S = 60;

export interface HistoryOptions {
  /** The events after a place, oldest first. */
  page: (after: number, limit: number) => Promise<Page<StoredEvent>>;
  /** Whether this log is still the one that is shown. */
  wanted: () => boolean;
  /** Something more is to be seen. */
  grew: () => void;
  wait: (seconds: number) => Promise<void>;
}

export async function loadHistory(log: Log, options: HistoryOptions): Promise<void> {
  const whole = () => log.complete;
  if (whole()) return;
  if (log.reached === 0) await recent(log, options);
  // Read side by side, taken in order.
  const under = new Map<number, Promise<StoredEvent[]>>();
  let asked = log.reached;
  while (options.wanted() && !whole()) {
    for (; under.size < AT_ONCE && asked < log.first - 1; asked += PAGE) {
      const answer = patiently(options, asked, Math.min(PAGE, log.first - 1 - asked));
      // A failure is dealt with where its turn comes.
      answer.catch(() => undefined);
      under.set(asked, answer);
    }
    const before = log.reached;
    const next = under.get(before);
    under.delete(before);
    if (next === undefined) {
      // An answer was shorter than what was asked for: the others do not follow it.
      under.clear();
      asked = before;
      continue;
    }
    log.extend(await next);
    if (log.reached === before) throw gap(before);
    if (whole()) options.grew();
  }
}

async function recent(log: Log, options: HistoryOptions): Promise<void> {
  const start = Math.max(0, log.first - 1 - FIRST_PAGES * PAGE);
  const places = Array.from({ length: FIRST_PAGES }, (_, index) => start + index * PAGE);
  const pages = await Promise.all(
    places
      .filter((after) => after < log.first - 1)
      .map((after) => patiently(options, after, Math.min(PAGE, log.first - 1 - after))),
  );
  if (!options.wanted()) return;
  if (start === 0) log.extend(pages.flat());
  else log.prepend(pages.flat(), start + 1);
  options.grew();
}

/** A server that asks to wait is waited for. */
async function patiently(options: HistoryOptions, after: number, limit: number): Promise<StoredEvent[]> {
  for (;;) {
    try {
      return (await options.page(after, limit)).items;
    } catch (cause) {
      const error = asApiError(cause);
      const wait = error.retryAfterSeconds;
      if (error.status !== 429 || wait === null || !options.wanted()) throw error;
      await options.wait(Math.min(LONGEST_WAIT_S, Math.max(1, wait)));
    }
  }
}

function gap(after: number): ApiError {
  return asApiError(new Error(`The server gave no event after ${after}, where there should be one.`));
}
