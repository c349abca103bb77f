/** Exponential backoff with full jitter: half of the step is certain, half is chance, so that clients spread. */
export class Backoff {
  #attempt = 0;
  constructor(
    readonly baseMs: number,
    readonly capMs: number,
    readonly random: () => number,
  ) {}

  /** How long to wait now; `atLeastMs` is what the server asked for. */
  next(atLeastMs = 0): number {
    const step = Math.min(this.capMs, this.baseMs * 2 ** this.#attempt);
    this.#attempt += 1;
    return atLeastMs + step / 2 + (step / 2) * this.random();
  }

  reset(): void {
    this.#attempt = 0;
  }
}
