import type { Action } from "$lib/state/commands";
import type { SessionStore } from "$lib/state/session.svelte";
import { noteRefusal, refusal } from "$lib/state/refusal";
import type { RunCommand } from "$lib/state/rules";
import { shellText as t } from "$lib/text/en/shell";

/** What can be done to the open session from anywhere in it. */
export function sessionActions(store: SessionStore, showConversation: () => void): Action[] {
  const refused = (command: RunCommand) => () => refusal(store, command);
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
      title: t.toggle,
      keys: [" "],
      unavailable: () => (store.playhead === null ? refused(running() ? "pause" : begin())() : undefined),
      run: () => {
        if (store.playhead === null) void store.send(running() ? "pause" : begin());
        else store.playback.toggle();
      },
    },
    {
      id: "replay",
      title: t.replay,
      keys: ["p"],
      unavailable: () => (store.complete && store.markCount > 0 ? undefined : t.nothingToReplay),
      run: () => store.playback.toggle(),
    },
    { id: "replay.faster", title: t.faster, keys: [">"], run: () => store.playback.faster(1) },
    { id: "replay.slower", title: t.slower, keys: ["<"], run: () => store.playback.faster(-1) },
    command("step", t.step),
    command("stop", t.stop),
    {
      id: "inject",
      title: t.inject,
      keys: ["i"],
      unavailable: refused("inject_stimulus"),
      run: () => {
        showConversation();
        focusSoon("[data-key=inject]");
      },
    },
    {
      id: "search",
      title: t.search,
      keys: ["/"],
      run: () => {
        showConversation();
        focusSoon("[data-key='/']");
      },
    },
    { id: "turn.previous", title: t.turnBack, keys: ["ArrowLeft"], run: () => stepTurn(store, -1) },
    { id: "turn.next", title: t.turnOn, keys: ["ArrowRight"], run: () => stepTurn(store, 1) },
    {
      id: "turn.first",
      title: t.firstTurn,
      keys: ["Home"],
      run: () => store.seek(Math.min(1, store.markCount)),
    },
    { id: "turn.live", title: t.followLive, keys: ["End"], run: () => store.seek(Infinity) },
    {
      id: "marker.previous",
      title: t.markerBefore,
      keys: ["["],
      run: () => toMarker(store, -1),
    },
    { id: "marker.next", title: t.markerNext, keys: ["]"], run: () => toMarker(store, 1) },
    {
      id: "note",
      title: t.note,
      keys: ["n"],
      unavailable: () => noteRefusal(store),
      run: () => {
        const focused = document.activeElement?.closest<HTMLElement>("[data-message]")?.dataset.message;
        const newest = store.log?.of.columns.marks[(store.playhead ?? store.markCount) - 1]?.seq;
        store.noting = focused === undefined ? (store.selected ?? newest ?? null) : Number(focused);
      },
    },
    { id: "message.next", title: t.messageNext, keys: ["j"], run: () => moveMessage(1) },
    { id: "message.previous", title: t.messagePrevious, keys: ["k"], run: () => moveMessage(-1) },
  ];
}

export function stepTurn(store: SessionStore, by: number): void {
  store.seek((store.playhead ?? store.markCount) + by);
}

function toMarker(store: SessionStore, by: 1 | -1): void {
  const at = store.playhead ?? store.markCount;
  const places = (store.log?.of.columns.markers ?? []).map(({ mark }) => mark).sort((a, b) => a - b);
  const next = by > 0 ? places.find((mark) => mark > at) : places.findLast((mark) => mark < at);
  if (next !== undefined) store.seek(next);
}

function moveMessage(by: number): void {
  const messages = [...document.querySelectorAll<HTMLElement>("[data-message]")];
  const at = messages.findIndex((message) => message.contains(document.activeElement));
  const target = at < 0 ? messages.length - 1 : Math.max(0, Math.min(messages.length - 1, at + by));
  messages[target]?.focus();
  messages[target]?.scrollIntoView({ block: "nearest" });
}

function focusSoon(selector: string): void {
  const focus = () => {
    const target = document.querySelector<HTMLElement>(selector);
    target?.focus();
    return target !== null;
  };
  // At once, so that whoever types on loses no letter. The tab may have to be drawn first, and a closing palette gives
  // the focus back to where it came from.
  const busy = document.querySelector("dialog[open]") !== null;
  if (busy || !focus()) requestAnimationFrame(() => requestAnimationFrame(focus));
}
