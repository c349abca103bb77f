/**
 * Collects frames and hands them over before the page is painted, however fast they come. A hidden page has no animation
 * frames; there a slow timer keeps the queue short.
 */
export interface Scheduler {
  /** Calls back soon, once; returns how to cancel it. */
  (flush: () => void): () => void;
}

export class Batcher<T> {
  #queue: T[] = [];
  #cancel: (() => void) | null = null;

  constructor(
    readonly deliver: (batch: T[]) => void,
    readonly schedule: Scheduler = soon,
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
/** After this long without a delivery the next one is made at once. */
const REST_MS = 4;

let last = -Infinity;

/**
 * At once after a rest, so that the next frame only has to paint; a stream without rests goes once per frame. At once is
 * a task of its own: what came in the same breath is taken along.
 */
function soon(flush: () => void): () => void {
  const work = () => {
    last = performance.now();
    flush();
  };
  if (performance.now() - last < REST_MS || document.hidden) return nextFrame(work);
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = work;
  port2.postMessage(null);
  return () => port1.close();
}

function nextFrame(flush: () => void): () => void {
  // Both: a page hidden after the request would otherwise never be called back.
  const frame = requestAnimationFrame(flush);
  const timer = setTimeout(flush, HIDDEN_FLUSH_MS);
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
}
