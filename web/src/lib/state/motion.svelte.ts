/** Whether pictures may move: chosen on this device, and never against the system's wish for less motion. */
const KEY = "psyche.motion";
const wish = matchMedia("(prefers-reduced-motion: reduce)");

class Motion {
  reduced = $state(wish.matches);
  #chosen = $state(stored());
  readonly on = $derived(this.#chosen && !this.reduced);

  constructor() {
    wish.addEventListener("change", (event) => (this.reduced = event.matches));
  }

  choose(on: boolean): void {
    this.#chosen = on;
    try {
      if (on) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, "off");
    } catch {
      // Storage may be forbidden; the choice holds until the page is closed.
    }
  }
}

function stored(): boolean {
  try {
    return localStorage.getItem(KEY) !== "off";
  } catch {
    return true;
  }
}

export const motion = new Motion();
