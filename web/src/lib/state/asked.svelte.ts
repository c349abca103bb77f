import { asApiError, type ApiError } from "$lib/api/errors";
import type { Page } from "$lib/api/types";

/** Something asked of the server: its newest answer, and what went wrong since. */
export class Asked<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);
  asOfMs = $state(0);
  readonly #ask: () => Promise<T>;
  #turn = 0;

  constructor(ask: () => Promise<T>) {
    this.#ask = ask;
  }

  /** Of several questions under way only the newest counts. */
  load = async (): Promise<void> => {
    const mine = ++this.#turn;
    try {
      const answer = await this.#ask();
      if (mine === this.#turn) this.set(answer);
    } catch (cause) {
      if (mine === this.#turn) this.error = asApiError(cause);
    }
  };

  /** Known from elsewhere, as from the answer to a change. */
  set(value: T): void {
    this.#turn += 1;
    this.value = value;
    this.error = null;
    this.asOfMs = Date.now();
  }

  /** As if never asked: another question's answer must not stand for this one's. */
  forget(): void {
    this.#turn += 1;
    this.value = null;
    this.error = null;
  }
}

/** A list that comes by pages. */
export class Pages<T> extends Asked<T[]> {
  cursor = $state<string | null>(null);
  moreError = $state.raw<ApiError | null>(null);
  loadingMore = $state(false);
  readonly #page: (cursor: string | undefined) => Promise<Page<T>>;

  constructor(page: (cursor: string | undefined) => Promise<Page<T>>) {
    super(async () => {
      const first = await page(undefined);
      this.cursor = first.next_cursor ?? null;
      this.moreError = null;
      return first.items;
    });
    this.#page = page;
  }

  more = async (): Promise<void> => {
    if (this.cursor === null || this.value === null || this.loadingMore) return;
    const before = this.value;
    this.loadingMore = true;
    try {
      const next = await this.#page(this.cursor);
      // Loaded anew meanwhile: these follow something else.
      if (this.value === before) {
        this.set([...before, ...next.items]);
        this.cursor = next.next_cursor ?? null;
      }
      this.moreError = null;
    } catch (cause) {
      this.moreError = asApiError(cause);
    }
    this.loadingMore = false;
  };

  /** Changes what is shown of one item without asking again. */
  replace(is: (item: T) => boolean, by: T): void {
    if (this.value !== null) this.value = this.value.map((item) => (is(item) ? by : item));
  }

  remove(is: (item: T) => boolean): void {
    if (this.value !== null) this.value = this.value.filter((item) => !is(item));
  }
}
