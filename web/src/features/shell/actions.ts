import type { Action } from "$lib/state/commands";
import type { SessionStore } from "$lib/state/session.svelte";
import { whyNot, type RunCommand } from "$lib/state/rules";
import { signIn } from "$lib/state/app";

/** What can be done to the open session from anywhere in it. */
export function sessionActions(store: SessionStore, showConversation: () => void): Action[] {
  const refused = (command: RunCommand) => () =>
    whyNot(command, store.live?.status ?? null, signIn.user, store.session);
  const command = (name: RunCommand, title: string): Action => ({
    id: `run.${name}`,
    title,
    unavailable: refused(name),
    run: () => void store.send(name),
  });
  const running = () => store.live?.status === "running";
  const begin = (): RunCommand => (store.live?.status === "paused" ? "resume" : "start");
  return [
    {
      id: "run.toggle",
      title: "Start or pause",
      keys: [" "],
      unavailable: () => refused(running() ? "pause" : begin())(),
      run: () => void store.send(running() ? "pause" : begin()),
    },
    command("step", "Step: one round, then pause"),
    command("stop", "Stop"),
    {
      id: "inject",
      title: "Inject a stimulus",
      keys: ["i"],
      unavailable: refused("inject_stimulus"),
      run: () => {
        showConversation();
        focusSoon("[data-key=inject]");
      },
    },
    {
      id: "search",
      title: "Search the conversation",
      keys: ["/"],
      run: () => {
        showConversation();
        focusSoon("[data-key='/']");
      },
    },
    { id: "turn.previous", title: "One turn back", keys: ["ArrowLeft"], run: () => stepTurn(store, -1) },
    { id: "turn.next", title: "One turn on", keys: ["ArrowRight"], run: () => stepTurn(store, 1) },
    {
      id: "turn.first",
      title: "To the first turn",
      keys: ["Home"],
      run: () => store.seek(Math.min(1, store.markCount)),
    },
    { id: "turn.live", title: "Follow live", keys: ["End"], run: () => store.seek(Infinity) },
    { id: "message.next", title: "Next message", keys: ["j"], run: () => moveMessage(1) },
    { id: "message.previous", title: "Previous message", keys: ["k"], run: () => moveMessage(-1) },
  ];
}

export function stepTurn(store: SessionStore, by: number): void {
  store.seek((store.playhead ?? store.markCount) + by);
}

function moveMessage(by: number): void {
  const messages = [...document.querySelectorAll<HTMLElement>("[data-message]")];
  const at = messages.findIndex((message) => message.contains(document.activeElement));
  const target = at < 0 ? messages.length - 1 : Math.max(0, Math.min(messages.length - 1, at + by));
  messages[target]?.focus();
  messages[target]?.scrollIntoView({ block: "nearest" });
}

function focusSoon(selector: string): void {
  // The tab may have to be drawn first.
  requestAnimationFrame(() =>
    requestAnimationFrame(() => document.querySelector<HTMLElement>(selector)?.focus()),
  );
}
