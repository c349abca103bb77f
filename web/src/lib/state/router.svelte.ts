/**
 * The place in the app, kept in the URL's fragment: `#/`, `#/s/<id>/<tab>?turn=12&sel=45`, `#/account/<section>`,
 * `#/admin/<section>?<filters>`, `#/compare?of=<id>,<id>`, `#/help/<page of the guide>?at=<heading>`, `#/register`,
 * `#setup=<code>`, `#reset=<token>`.
 * The fragment never reaches the server, so a code or a token does not end in its logs.
 */
export const TABS = ["conversation", "health", "visualizations", "analysis", "settings"] as const;
export type Tab = (typeof TABS)[number];

export const ACCOUNT = ["profile", "password", "devices", "factor", "privacy"] as const;
export type AccountSection = (typeof ACCOUNT)[number];
export const ADMIN = ["users", "roles", "blocked", "alerts", "audit", "settings"] as const;
export type AdminSection = (typeof ADMIN)[number];

/** As many sessions as can stand side by side. */
export const MOST_COMPARED = 6;

export type Route =
  | { page: "sessions" }
  | { page: "setup"; code: string }
  | { page: "reset"; token: string }
  | { page: "register" }
  | { page: "help"; name: string; at: string }
  | { page: "account"; section: AccountSection }
  | { page: "admin"; section: AdminSection; filter: string }
  | { page: "compare"; ids: string[] }
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
  if (root === "help")
    return {
      page: "help",
      name: path.replace(/^\/help\/?/u, "") || "measures",
      at: new URLSearchParams(query).get("at") ?? "",
    };
  if (root === "compare") {
    const ids = (new URLSearchParams(query).get("of") ?? "").split(",").filter((each) => each !== "");
    return { page: "compare", ids: [...new Set(ids)].slice(0, MOST_COMPARED) };
  }
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
  if (route.page === "compare") return `#/compare?of=${route.ids.join(",")}`;
  if (route.page === "account") return `#/account/${route.section}`;
  if (route.page === "admin")
    return `#/admin/${route.section}${route.filter === "" ? "" : `?${route.filter}`}`;
  if (route.page === "help")
    return `#/help/${route.name}${route.at === "" ? "" : `?at=${encodeURIComponent(route.at)}`}`;
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

/** Browsers refuse an address that changes too often, as while somebody drags the playhead. */
const SETTLE_MS = 200;

class Router {
  #settling: ReturnType<typeof setTimeout> | undefined;
  #unwritten = false;
  /** The address as it was last written or followed here. Is it another one, somebody goes elsewhere just now. */
  #known = location.hash;
  /** Rises when somebody comes to a place by a link or by going back, rather than by using the page. */
  visits = $state(0);
  route = $state.raw<Route>(parseRoute(location.hash));
  /** The session somebody left for the guide, as it was last looked at; null for who came from elsewhere. */
  helpFrom = $state.raw<Route | null>(null);
  /** Asked before leaving; a page with unsaved changes answers false to stay. */
  #guard: (() => boolean) | null = null;

  constructor() {
    addEventListener("pagehide", () => this.#write());
    addEventListener("hashchange", () => {
      this.#unwritten = false;
      if (location.hash !== formatRoute(this.route)) {
        if (this.#mayLeave()) {
          this.#enter(parseRoute(location.hash));
          this.visits += 1;
        } else history.replaceState(null, "", formatRoute(this.route));
      }
      this.#known = location.hash;
    });
  }

  go(route: Route): void {
    if (!this.#mayLeave()) return;
    // Going back leads to the place as it was last looked at.
    this.#write();
    this.#enter(route);
    history.pushState(null, "", formatRoute(route));
    this.#known = location.hash;
  }

  #enter(route: Route): void {
    // Within the guide the place to go back to stays.
    if (this.route.page !== "help") this.helpFrom = this.route.page === "session" ? this.route : null;
    this.route = route;
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
    this.#unwritten = true;
    // The first change is written at once, the last of many soon after.
    if (this.#settling !== undefined) return;
    this.#write();
    this.#settling = setTimeout(() => {
      this.#settling = undefined;
      this.#write();
    }, SETTLE_MS);
  }

  #write(): void {
    if (this.#unwritten && location.hash === this.#known) {
      history.replaceState(null, "", formatRoute(this.route));
      this.#known = location.hash;
    }
    this.#unwritten = false;
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
