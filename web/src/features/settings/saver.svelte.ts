import { untrack } from "svelte";
import { asApiError, type ApiError } from "$lib/api/errors";

const PATIENCE_MS = 2000;
const LOOK_EVERY_MS = 50;
const SAID_MS = 4000;

/** What becomes of saving a form. Made while its component is: it tells `ondirty` whether something is left to save. */
export class Saver {
  busy = $state(false);
  saved = $state("");
  error = $state.raw<ApiError | null>(null);
  readonly #changed: () => boolean;

  constructor(changed: () => boolean, ondirty: (dirty: boolean) => void) {
    this.#changed = changed;
    $effect(() => {
      const dirty = changed() && !this.busy;
      untrack(() => ondirty(dirty));
    });
  }

  /** `done` lets go of what was typed, and says that it is saved. */
  async save(event: SubmitEvent, call: () => Promise<unknown>, done: () => string): Promise<void> {
    event.preventDefault();
    this.busy = true;
    this.error = null;
    try {
      await call();
      await this.#inForce();
      this.saved = done();
      setTimeout(() => (this.saved = ""), SAID_MS);
    } catch (cause) {
      this.error = asApiError(cause);
    }
    this.busy = false;
  }

  /** A change is stored when the call answers, and in force when its event has come back: waits for that, a while. */
  async #inForce(): Promise<void> {
    const end = Date.now() + PATIENCE_MS;
    while (this.#changed() && Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }
}
