/** Why somebody cannot do something here and now, in words for a tooltip; undefined when they can. */
import { signIn } from "./app";
import { mayAnnotate, whyNot, type RunCommand } from "./rules";
import type { SessionStore } from "./session.svelte";

export function refusal(store: SessionStore, command: RunCommand): string | undefined {
  const rule = whyNot(command, store.status, signIn.user, store.session);
  if (rule !== undefined) return rule;
  return store.playhead === null ? undefined : "You are looking at the past. Follow live to act.";
}

export function noteRefusal(store: SessionStore): string | undefined {
  return mayAnnotate(signIn.user, store.session)
    ? undefined
    : "You are here to watch: only members write notes.";
}
