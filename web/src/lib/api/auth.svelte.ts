import { callOpen, type TokenSource } from "./client";
import { ApiError, asApiError } from "./errors";
import type { Permission, SignedInUser, TokenAnswer } from "./types";

/** Not a secret: only says that a silent sign-in is worth trying, so that a first visit makes no failing call. */
const HINT = "psyche.signed-in";
const LONGEST_TIMER_S = 20 * 86_400;

/**
 * Who is signed in. The access token lives in memory only; the refresh token in the server's HttpOnly cookie,
 * or in memory when the server answers with one in the body.
 */
export class SignIn implements TokenSource {
  user = $state.raw<SignedInUser | null>(null);
  /** True until the first silent sign-in has been decided. */
  starting = $state(true);
  /** Set when a running sign-in ended by itself, so that the form can say so. */
  expired = $state(false);
  /** The role demands a second factor first: until then only the own account's pages work. */
  mustEnrol = $state(false);

  #access: string | null = null;
  #refresh: string | null = null;
  #renewal: Promise<boolean> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewAtMs = Infinity;

  constructor() {
    // Timers stand still while a computer sleeps.
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && Date.now() >= this.#renewAtMs) void this.renew();
    });
  }

  accessToken(): string | null {
    return this.#access;
  }

  may(permission: Permission): boolean {
    return this.user?.permissions.includes(permission) ?? false;
  }

  async start(): Promise<void> {
    if (remembered()) await this.renew();
    this.expired = false;
    this.starting = false;
  }

  /** Without `otp`, an account with a second factor answers 401 with a detail about the field `otp`. */
  async withPassword(username: string, password: string, otp?: string): Promise<void> {
    const answer = await callOpen<TokenAnswer>("/auth/login", {
      method: "POST",
      body: { username, password, refresh: "cookie", ...(otp === undefined ? {} : { otp }) },
    });
    this.expired = false;
    this.#accept(answer);
  }

  /** The person changed how they are called. */
  rename(display_name: string): void {
    if (this.user !== null) this.user = { ...this.user, display_name };
  }

  /** The server has ended the sign-in already, as after erasing the account. */
  ended(): void {
    this.#forget();
    this.expired = false;
  }

  /** One refresh at a time: every caller that meets a 401 meanwhile waits for the same answer. */
  renew(): Promise<boolean> {
    this.#renewal ??= this.#renew().finally(() => (this.#renewal = null));
    return this.#renewal;
  }

  async out(): Promise<void> {
    const access = this.#access;
    this.#forget();
    if (access === null) return;
    try {
      await fetch("api/v1/auth/logout", {
        method: "POST",
        headers: { Authorization: `Bearer ${access}`, "Content-Type": "application/json" },
        body: "{}",
        credentials: "same-origin",
      });
    } catch {
      // The server is away; its side of the sign-in ends by itself, ours has ended.
    }
  }

  async #renew(): Promise<boolean> {
    try {
      this.#accept(await oneTabAtATime(() => this.#callRefresh()));
      return true;
    } catch (cause) {
      const error = asApiError(cause);
      // Only a clear no ends the sign-in: a server that is away or busy does not.
      if (error.status === 401 || error.status === 403) {
        this.#forget();
        this.expired = true;
      }
      return false;
    }
  }

  #callRefresh(): Promise<TokenAnswer> {
    const body = this.#refresh === null ? {} : { refresh_token: this.#refresh };
    return callOpen<TokenAnswer>("/auth/refresh", { method: "POST", body });
  }

  #accept(answer: TokenAnswer): void {
    if (!answer.access_token) throw new ApiError(0, "internal", "The server's answer held no access token.");
    this.#access = answer.access_token;
    this.#refresh = answer.refresh_token ?? null;
    this.user = answer.user;
    this.mustEnrol = answer.must_enrol;
    remember(true);
    clearTimeout(this.#timer);
    const waitMs = renewAfterS(answer.expires_in, answer.renew_before) * 1000;
    this.#renewAtMs = Date.now() + waitMs;
    this.#timer = setTimeout(() => void this.renew(), waitMs);
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#renewAtMs = Infinity;
    this.#access = null;
    this.#refresh = null;
    this.user = null;
    this.mustEnrol = false;
    remember(false);
  }
}

/** When to renew: when `renewBefore` seconds are left, but never in the first half of a short life. */
export function renewAfterS(expiresIn: number, renewBefore = expiresIn / 3): number {
  return Math.min(LONGEST_TIMER_S, Math.max(1, expiresIn - Math.min(renewBefore, expiresIn / 2)));
}

/** Two tabs must not spend the same refresh token at once. */
function oneTabAtATime<T>(work: () => Promise<T>): Promise<T> {
  const locks = (navigator as { locks?: LockManager | null }).locks;
  return locks === undefined || locks === null ? work() : locks.request("psyche.refresh", work);
}

function remembered(): boolean {
  try {
    return localStorage.getItem(HINT) === "1";
  } catch {
    return true;
  }
}

function remember(on: boolean): void {
  try {
    if (on) localStorage.setItem(HINT, "1");
    else localStorage.removeItem(HINT);
  } catch {
    // Without storage the silent sign-in is simply tried every time.
  }
}
