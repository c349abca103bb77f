/**
 * The place in the app, kept in the URL's fragment: `#/`, `#/s/<id>/<tab>?turn=12&sel=45`, `#/account/<section>`,
 * `#/admin/<section>?<filters>`, `#/register`, `#setup=<code>`, `#reset=<token>`.
 * The fragment never reaches the server, so a code or a token does not end in its logs.
 */
export const TABS = ["conversation", "health", "visualizations", "analysis", "settings"] as const;
export type Tab = (typeof TABS)[number];

export const ACCOUNT = ["profile", "password", "devices", "factor", "privacy"] as const;
export type AccountSection = (typeof ACCOUNT)[number];
export const ADMIN = ["users", "roles", "blocked", "alerts", "audit", "settings"] as const;
export type AdminSection = (typeof ADMIN)[number];

export type Route =
  | { page: "sessions" }
  | { page: "setup"; code: string }
  | { page: "reset"; token: string }
  | { page: "register" }
  | { page: "account"; section: AccountSection }
  | { page: "admin"; section: AdminSection; filter: string }
  | { page: "session"; id: string; tab: Tab; turn: number | null; selected: number | null };

export function parseRoute(hash: string): Route {
  const text = hash.replace(/^#/u, "");
  const setup = /^\/?setup=(.+)$/u.exec(text);
  if (setup?.[1] !== undefined) return { page: "setup", code: decode(setup[1]) };
  const reset = /^\/?reset=(.+)$/u.exec(text);
  if (reset?.[1] !== undefined) return { page: "reset", token: decode(reset[1]) };
  const [path = "", query = ""] = text.split("?");
  const [, root, id, tab] = path.split("/");
  if (root === "register") return { page: "register" };
  if (root === "account")
    return { page: "account", section: ACCOUNT.find((name) => name === id) ?? "profile" };
  if (root === "admin")
    return { page: "admin", section: ADMIN.find((name) => name === id) ?? "users", filter: query };
  if (root !== "s" || id === undefined || id === "") return { page: "sessions" };
  const parameters = new URLSearchParams(query);
  return {
    page: "session",
    id,
    tab: TABS.find((name) => name === tab) ?? "conversation",
    turn: whole(parameters.get("turn")),
    selected: whole(parameters.get("sel")),
  };
}

export function formatRoute(route: Route): string {
  if (route.page === "setup") return `#setup=${encodeURIComponent(route.code)}`;
  if (route.page === "reset") return `#reset=${encodeURIComponent(route.token)}`;
  if (route.page === "sessions") return "#/";
  if (route.page === "register") return "#/register";
  if (route.page === "account") return `#/account/${route.section}`;
  if (route.page === "admin")
    return `#/admin/${route.section}${route.filter === "" ? "" : `?${route.filter}`}`;
  const query = new URLSearchParams();
  if (route.turn !== null) query.set("turn", String(route.turn));
  if (route.selected !== null) query.set("sel", String(route.selected));
  const text = query.toString();
  return `#/s/${route.id}/${route.tab}${text === "" ? "" : `?${text}`}`;
}

function whole(text: string | null): number | null {
  const value = Number.parseInt(text ?? "", 10);
  return Number.isFinite(value) && value >= 0 ? value : null;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

class Router {
  route = $state.raw<Route>(parseRoute(location.hash));
  /** Asked before leaving; a page with unsaved changes answers false to stay. */
  #guard: (() => boolean) | null = null;

  constructor() {
    addEventListener("hashchange", () => {
      if (location.hash === formatRoute(this.route)) return;
      if (this.#mayLeave()) this.route = parseRoute(location.hash);
      else history.replaceState(null, "", formatRoute(this.route));
    });
  }

  go(route: Route): void {
    if (!this.#mayLeave()) return;
    this.route = route;
    history.pushState(null, "", formatRoute(route));
  }

  /** The same place, looked at differently: no new entry in the history. */
  refine(change: { turn?: number | null; selected?: number | null }): void {
    if (this.route.page === "session") this.#replace({ ...this.route, ...change });
  }

  /** Another filter of the same list. */
  filter(filter: string): void {
    if (this.route.page === "admin") this.#replace({ ...this.route, filter });
  }

  #replace(route: Route): void {
    this.route = route;
    history.replaceState(null, "", formatRoute(route));
  }

  guard(ask: (() => boolean) | null): void {
    this.#guard = ask;
  }

  #mayLeave(): boolean {
    if (this.#guard === null || this.#guard()) {
      this.#guard = null;
      return true;
    }
    return false;
  }
}

export const router = new Router();
