/** What one person chose on this device. */
export type Theme = "system" | "light" | "dark";
const KEY = "psyche.theme";

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

const systemDark = matchMedia("(prefers-color-scheme: dark)");

class Preferences {
  theme = $state<Theme>(stored());
  #systemDark = $state(systemDark.matches);
  /** The surface in use: canvases cannot follow `light-dark()` by themselves. */
  readonly dark = $derived(this.theme === "dark" || (this.theme === "system" && this.#systemDark));

  constructor() {
    systemDark.addEventListener("change", (event) => (this.#systemDark = event.matches));
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      if (theme === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // Storage may be forbidden; the choice holds until the page is closed.
    }
  }
}

export const preferences = new Preferences();
