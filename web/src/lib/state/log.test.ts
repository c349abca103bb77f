import { describe, expect, it } from "vitest";
// @ts-expect-error the made-up session is plain JavaScript, shared with the pictures
import * as made from "../../../test-support/conversation.mjs";
import type { Session, State, StoredEvent } from "$lib/api/types";
import { countUpTo } from "./columns";
import { Log } from "./log";

const { makeLog, makeSession, makeState } = made as {
  makeLog: (id: string, rounds: number, quiet?: boolean) => StoredEvent[];
  makeSession: (id: string, events: StoredEvent[]) => Session;
  makeState: (events: StoredEvent[]) => State;
};

function follow(events: StoredEvent[]): Log {
  const log = new Log(makeSession("s", []), makeState([]), 0, null);
  for (const event of events) log.append(event);
  return log;
}

describe("a log read live", () => {
  const events = makeLog("s", 12);
  const log = follow(events);

  it("counts what was said", () => {
    expect(log.head.messages).toBe(events.filter((event) => event.type === "agent_message").length);
    expect(log.head.status).toBe("running");
    expect(log.head.turn).toBe(60);
  });

  it("opens and closes the emergency with its events", () => {
    const opened = events.find((event) => event.type === "emergency" && event.action === "opened");
    const closed = events.find((event) => event.type === "emergency" && event.action === "closed");
    expect(log.at((opened?.seq ?? 0) - 1).emergency.open).toBe(false);
    expect(log.at(opened?.seq ?? 0).emergency).toMatchObject({ open: true, level: "emergency" });
    expect(log.at(closed?.seq ?? 0).emergency.open).toBe(false);
  });

  it("shows a failed turn as an item and not as words", () => {
    const failed = events.find((event) => event.type === "turn_failed");
    expect(log.feed.some((item) => item.kind === "failure" && item.seq === failed?.seq)).toBe(true);
    expect(log.at(failed?.seq ?? 0).failure?.turn).toBe(18);
    expect(log.head.failure).toBeNull();
  });

  it("keeps a stimulus waiting until it is used", () => {
    const injected = events.find((event) => event.type === "stimulus_injected");
    const before = follow(events.slice(0, injected?.seq));
    expect(before.head.waitingStimuli).toEqual([injected?.seq]);
    before.append(next(before, { type: "stimulus_used", stimulus_seq: injected?.seq, turn: 11 }));
    expect(before.head.waitingStimuli).toEqual([]);
  });

  it("lets whoever spoke before wait while another one speaks", () => {
    const started = events.filter((event) => event.type === "turn_started")[7];
    const before = log.at((started?.seq ?? 0) - 1);
    const speaker = started?.type === "turn_started" ? started.agent_id : "";
    expect(Object.values(before.agents).some((agent) => agent.state === "active")).toBe(true);
    const { agents } = log.at(started?.seq ?? 0);
    expect(agents[speaker]?.state).toBe("processing");
    const others = Object.entries(agents).filter(([id]) => id !== speaker);
    expect(others.some(([, agent]) => agent.state === "active" || agent.state === "integrating")).toBe(false);
  });

  it("keeps the place over events of unknown types", () => {
    const own = follow(events);
    const { gauges } = own.head;
    own.append(next(own, { type: "something_new", payload: 1 }));
    expect(own.head.seq).toBe(events.length + 1);
    expect(own.head.gauges).toBe(gauges);
  });
});

describe("a snapshot with history loaded after it", () => {
  const events = makeLog("s", 30);
  const half = 301;
  const live = follow(events);

  function late(): Log {
    const past = events.slice(0, half);
    const log = new Log(makeSession("s", past), makeState(past), half, null);
    for (const event of events.slice(half)) log.append(event);
    return log;
  }

  it("is not complete before, and complete after", () => {
    const log = late();
    expect(log.complete).toBe(false);
    expect(log.feed.length).toBeLessThan(live.feed.length);
    log.prepend(events.slice(200, half), 201);
    expect(log.complete).toBe(false);
    expect(log.columns.messages.seq[0]).toBeGreaterThan(200);
    expect(log.head.messages).toBe(live.head.messages);
    log.extend(events.slice(0, 100));
    expect(log.complete).toBe(false);
    expect(log.reached).toBe(100);
    log.extend(events.slice(100, 200));
    expect(log.complete).toBe(true);
    expect(log.feed.map((item) => item.seq)).toEqual(live.feed.map((item) => item.seq));
    expect(log.columns.messages.seq).toEqual(live.columns.messages.seq);
    expect(log.head.messages).toBe(live.head.messages);
    expect(log.cast?.agents).toHaveLength(5);
  });

  it("goes on live while the past is read", () => {
    const log = late();
    const more = next(log, { type: "session_status", status: "paused", actor: "u1" });
    log.extend(events.slice(0, 150));
    log.append(more);
    log.extend(events.slice(150, half));
    expect(log.complete).toBe(true);
    expect(log.head.status).toBe("paused");
    expect(log.events.map((event) => event.seq)).toEqual([...events.map((event) => event.seq), more.seq]);
  });

  it("takes the word for a feeling from its message: a snapshot gives the score alone", () => {
    const last = events.slice(0, half).findLast((event) => event.type === "agent_message");
    const past = events
      .slice(0, half)
      .map((event) =>
        event === last
          ? { ...last, sentiment: { ...last.sentiment, score: 0.01, label: "mixed" as const } }
          : event,
      );
    const log = new Log(makeSession("s", past), makeState(past), half, null);
    const word = () => log.head.agents[last?.agent_id ?? ""]?.sentiment?.label;
    expect(word()).toBe("neutral");
    log.extend(past);
    expect(word()).toBe("mixed");
  });

  it("takes each event once, and nothing behind a gap", () => {
    const log = late();
    log.extend(events.slice(0, 50));
    log.extend(events.slice(60, 80));
    expect(log.reached).toBe(50);
    log.extend(events.slice(0, half + 20));
    expect(log.complete).toBe(true);
    expect(log.events.map((event) => event.seq)).toEqual(events.map((event) => event.seq));
  });
});

describe("notes", () => {
  const events = makeLog("s", 4);
  const message = events.find((event) => event.type === "agent_message");

  it("stand by what they are about, and by themselves where the feed does not show it", () => {
    const log = follow(events);
    const items = log.feed.length;
    log.append(next(log, { type: "annotation", target_seq: message?.seq, text: "here", tags: ["turn"] }));
    log.append(next(log, { type: "annotation", target_seq: message?.seq, text: "again", tags: [] }));
    expect(log.feed).toHaveLength(items);
    expect(log.notes.get(message?.seq ?? 0)?.map((note) => note.text)).toEqual(["here", "again"]);
    expect(log.noted).toBe(2);
    const quiet = events.find((event) => event.type === "turn_committed");
    log.append(next(log, { type: "annotation", target_seq: quiet?.seq, text: "there", tags: [] }));
    expect(log.feed).toHaveLength(items + 1);
  });
});

describe("seeking", () => {
  const events = makeLog("s", 400);
  const log = follow(events);

  it("gives at every place what following up to it gave", () => {
    expect(events.length).toBeGreaterThan(10_000);
    for (const seq of [1, 2, 255, 256, 257, 5000, 9999, events.length - 1]) {
      const direct = follow(events.slice(0, seq)).head;
      expect(log.at(seq)).toEqual(direct);
    }
  });

  it("folds at most one stretch between checkpoints", () => {
    // The cost of a seek is bounded by the checkpoints, so the slowest of many is quick even on a slow machine.
    const began = performance.now();
    for (let seq = 1; seq < events.length; seq += 101) log.at(seq);
    const each = (performance.now() - began) / Math.ceil(events.length / 101);
    expect(each).toBeLessThan(50);
  });

  it("ends each turn before the next one begins", () => {
    const { marks, starts } = log.columns;
    for (const index of [0, 1, 17, 100]) {
      const end = log.endOfMark(index);
      expect(end).toBeGreaterThanOrEqual(marks[index]?.seq ?? Infinity);
      expect(end).toBeLessThan(marks[index + 1]?.seq ?? 0);
      expect(starts.includes(end + 1) || marks[index + 1]?.seq === end + 1).toBe(true);
    }
    expect(log.endOfMark(marks.length - 1)).toBe(events.length);
  });
});

describe("reset", () => {
  it("goes back to the beginning and keeps the turn numbers, the words and the price", () => {
    const log = follow(makeLog("s", 12));
    const before = log.head;
    expect(Object.keys(before.gauges)).not.toHaveLength(0);
    log.append(next(log, { type: "reset", actor: "u1", dropped: [] }));
    expect(log.head.gauges).toEqual({});
    expect(log.head.turn).toBe(before.turn);
    expect(log.head.tokens).toBe(before.tokens);
    expect(log.head.messages).toBe(before.messages);
    expect(log.feed.at(-1)).toMatchObject({ kind: "note" });
  });
});

describe("running time", () => {
  it("leaves pauses out", () => {
    const log = follow([]);
    const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)).toISOString();
    const status = (value: string, seconds: number) => {
      log.append(next(log, { type: "session_status", status: value, actor: "u1", timestamp: at(seconds) }));
    };
    status("running", 0);
    status("paused", 10);
    status("running", 100);
    status("stopped", 105);
    expect(log.head.ranMs).toBe(15_000);
    expect(log.head.runningSinceMs).toBeNull();
  });

  it("of a fork leaves out what its parent did in the meantime", () => {
    const log = follow([]);
    const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)).toISOString();
    const add = (event: object, seconds: number) => {
      log.append(next(log, { ...event, actor: "u1", timestamp: at(seconds) }));
    };
    add({ type: "session_status", status: "running" }, 0);
    add({ type: "annotation", target_seq: 1, text: "the last they share" }, 20);
    add({ type: "forked", parent: { session_id: "p", gen: 1, seq: 2 }, owner: "u1", changes: {} }, 300);
    add({ type: "session_status", status: "paused" }, 300);
    expect(log.head.ranMs).toBe(20_000);
    add({ type: "session_status", status: "running" }, 310);
    add({ type: "session_status", status: "stopped" }, 315);
    expect(log.head.ranMs).toBe(25_000);
  });

  it("is started once, and resumed after that until a reset", () => {
    const log = follow([]);
    for (const status of ["running", "paused", "running", "created", "running"])
      log.append(next(log, { type: "session_status", status, actor: "u1" }));
    const said = log.feed.map((item) => (item.kind === "note" ? item.text : item.kind));
    expect(said).toEqual(["Started", "Paused", "Resumed", "Ready to start", "Started"]);
  });
});

it("countUpTo finds the end of what is at or before a place", () => {
  expect(countUpTo([], 5)).toBe(0);
  expect(countUpTo([1, 3, 5, 7], 0)).toBe(0);
  expect(countUpTo([1, 3, 5, 7], 5)).toBe(3);
  expect(countUpTo([{ seq: 1 }, { seq: 4 }], 3)).toBe(1);
  expect(countUpTo([1, 3], Infinity)).toBe(2);
});

function next(log: Log, fields: Record<string, unknown>): StoredEvent {
  const seq = log.head.seq + 1;
  const place = { session_id: "s", gen: 1, seq, prev: seq - 1, timestamp: "2026-01-01T00:00:00Z" };
  return { ...place, ...fields } as unknown as StoredEvent;
}
