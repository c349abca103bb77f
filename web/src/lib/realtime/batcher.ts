/**
 * Collects frames and hands them over once per animation frame (trailing edge), so that the page paints at most
 * once however fast events come. A hidden page has no animation frames; there a slow timer keeps the queue short.
 */
export interface Scheduler {
  /** Calls back at the next frame; returns how to cancel it. */
  (flush: () => void): () => void;
}

export class Batcher<T> {
  #queue: T[] = [];
  #cancel: (() => void) | null = null;

  constructor(
    readonly deliver: (batch: T[]) => void,
    readonly schedule: Scheduler = nextFrame,
  ) {}

  push(item: T): void {
    this.#queue.push(item);
    this.#cancel ??= this.schedule(() => this.flush());
  }

  flush(): void {
    this.#cancel?.();
    this.#cancel = null;
    if (this.#queue.length === 0) return;
    const batch = this.#queue;
    this.#queue = [];
    this.deliver(batch);
  }

  clear(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#queue = [];
  }
}

const HIDDEN_FLUSH_MS = 250;

function nextFrame(flush: () => void): () => void {
  // Both: a page hidden after the request would otherwise never be called back.
  const frame = requestAnimationFrame(flush);
  const timer = setTimeout(flush, HIDDEN_FLUSH_MS);
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
}
