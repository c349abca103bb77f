/** Which hints were dismissed on this device. */
const KEY = "psyche.hints";

class Hints {
  #seen = $state.raw<readonly string[]>(stored());

  seen(name: string): boolean {
    return this.#seen.includes(name);
  }

  dismiss(name: string): void {
    if (this.seen(name)) return;
    this.#seen = [...this.#seen, name];
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#seen));
    } catch {
      // Storage may be forbidden; it stays away until the page is closed.
    }
  }
}

function stored(): readonly string[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(value) ? value.filter((name) => typeof name === "string") : [];
  } catch {
    return [];
  }
}

export const hints = new Hints();
