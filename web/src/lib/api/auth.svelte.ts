import { callOpen, type TokenSource } from "./client";
import { ApiError, asApiError } from "./errors";
import type { Permission, SignedInUser, TokenAnswer } from "./types";

/** Not a secret: only says that a silent sign-in is worth trying, so that a first visit makes no failing call. */
const HINT = "psyche.signed-in";
const RENEW_BEFORE_S = 4 * 3600;

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

  #access: string | null = null;
  #refresh: string | null = null;
  #renewal: Promise<boolean> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

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

  async withPassword(username: string, password: string): Promise<void> {
    const answer = await callOpen<TokenAnswer>("/auth/login", {
      method: "POST",
      body: { username, password, refresh: "cookie" },
    });
    this.expired = false;
    this.#accept(answer);
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
    remember(true);
    clearTimeout(this.#timer);
    const early = Math.min(RENEW_BEFORE_S, answer.expires_in / 3);
    this.#timer = setTimeout(() => void this.renew(), Math.max(1, answer.expires_in - early) * 1000);
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#access = null;
    this.#refresh = null;
    this.user = null;
    remember(false);
  }
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
