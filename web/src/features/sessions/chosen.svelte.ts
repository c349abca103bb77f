import type { Session } from "$lib/api/types";
import { signIn } from "$lib/state/app";

/** What is ticked in the list, kept while the app lives: whoever comes back from a comparison goes on from it. */
class Chosen {
  #all = $state.raw<readonly Session[]>([]);
  #of = $state<string | undefined>();

  /** In the order of choosing. Another person's choice is nobody's. */
  get all(): readonly Session[] {
    return this.#of === signIn.user?.user_id ? this.#all : [];
  }

  has(session: Session): boolean {
    return this.all.some((each) => each.session_id === session.session_id);
  }

  set(session: Session, on: boolean): void {
    const others = this.all.filter((each) => each.session_id !== session.session_id);
    this.#all = on ? [...others, session] : others;
    this.#of = signIn.user?.user_id;
  }

  clear(): void {
    this.#all = [];
  }
}

export const chosen = new Chosen();
