import { expect, it } from "vitest";
import type { StoredEvent } from "$lib/api/types";
import { hear, settle, type Speaking } from "./speaking";

const delta = (index: number, text: string, turn = 3, attempt = 1) =>
  ({ type: "delta", agent_id: "ego", turn, attempt, index, text }) as const;
const event = (fields: object) => fields as StoredEvent;

it("joins the tokens of one attempt, once each", () => {
  let speaking: Speaking = {};
  for (const frame of [delta(0, "I "), delta(1, "will "), delta(1, "will "), delta(2, "read")]) {
    speaking = hear(speaking, frame);
  }
  expect(speaking.ego?.text).toBe("I will read");
});

it("begins anew with a new attempt, and ignores the old one's late tokens", () => {
  let speaking = hear({}, delta(0, "Wrong"));
  speaking = hear(speaking, delta(0, "Right", 3, 2));
  speaking = hear(speaking, delta(1, " late"));
  expect(speaking.ego).toMatchObject({ attempt: 2, text: "Right" });
});

it("shows that tokens were dropped", () => {
  const speaking = hear(hear({}, delta(0, "I ")), delta(4, "page"));
  expect(speaking.ego?.text).toBe("I … page");
});

it("is silent once the turn's own message is there, but keeps the next turn's words", () => {
  const speaking = hear({}, delta(0, "I"));
  const done = event({ type: "agent_message", agent_id: "ego", metadata: { turn: 3 } });
  expect(settle(speaking, done)).toEqual({});
  const later = hear({}, delta(0, "You", 8));
  expect(settle(later, done)).toBe(later);
});

it.each([
  { type: "turn_failed", agent_id: "ego", turn: 3 },
  { type: "turn_abandoned", turn: 3, attempt: 1 },
  { type: "reset" },
  { type: "session_status", status: "stopped" },
])("is silent after $type", (fields) => {
  expect(settle(hear({}, delta(0, "I")), event(fields))).toEqual({});
});
