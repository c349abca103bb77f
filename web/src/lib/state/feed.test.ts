import { expect, it } from "vitest";
import type { StoredEvent } from "$lib/api/types";
import { feedItem } from "./feed";

const event = (of: object) => ({ seq: 1, timestamp: "2026-01-01T00:00:00Z", ...of }) as StoredEvent;

it("opens with the situation the agents find themselves in", () => {
  const created = event({ type: "session_created", situation: "A letter lies unopened." });
  expect(feedItem(created, false)).toMatchObject({ kind: "opening", situation: "A letter lies unopened." });
});

it.each([
  ["running", null, false, "Started"],
  ["running", null, true, "Resumed"],
  ["paused", null, true, "Paused"],
  ["paused", "model_unavailable", true, "Paused: the model is not available"],
  ["stopped", "stopped", true, "Stopped"],
  ["stopped", "max_rounds", true, "Stopped: all rounds are done"],
  ["created", null, true, "Ready to start"],
])("says %s (because %s, ran before: %s) as %s", (status, reason, ran, text) => {
  expect(feedItem(event({ type: "session_status", status, reason, actor: "system" }), ran)).toMatchObject({
    kind: "note",
    text,
  });
});
