import { describe, expect, it } from "vitest";
import type { AgentMessage, StoredEvent } from "$lib/api/types";
import { Columns } from "$lib/state/columns";
import type { FeedItem } from "$lib/state/feed";
import { stretches } from "./emergencies";
import { judge } from "./gauges";
import { modelFigures, quantile } from "./latency";
import { activeSpeakers, gaugeSeries, messageRate, sentimentSeries } from "./series";

interface Said {
  by: string;
  to?: string[];
  score?: number;
  words?: string;
  minute?: number;
  latency?: number;
}

function columns(said: Said[]): Columns {
  const all = new Columns();
  said.forEach(({ by, to = [], score = 0, words = "one two", minute = 0, latency = 100 }, index) => {
    const message = {
      type: "agent_message",
      seq: index + 1,
      timestamp: new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString(),
      agent_id: by,
      recipient: to[0] ?? "all",
      recipients: to,
      content: words,
      sentiment: { score, label: "neutral" },
      metadata: { turn: index + 1, latency_ms: latency, usage: { prompt_tokens: 9, completion_tokens: 20 } },
    } as unknown as AgentMessage;
    all.add(message);
  });
  return all;
}

describe("sentiment lines", () => {
  it("leave others' turns out", () => {
    const { messages } = columns([
      { by: "ego", score: 0.5 },
      { by: "self", score: 0.25 },
      { by: "ego", score: -0.5 },
    ]);
    expect(sentimentSeries(messages, ["ego", "self"], Infinity)).toEqual({
      x: [1, 2, 3],
      lines: [
        [0.5, undefined, -0.5],
        [undefined, 0.25, undefined],
      ],
    });
  });

  it("end at the playhead", () => {
    const { messages } = columns([{ by: "ego" }, { by: "ego" }, { by: "ego" }]);
    expect(sentimentSeries(messages, ["ego"], 2).x).toEqual([1, 2]);
  });

  it("leave a person's words out", () => {
    const { messages } = columns([{ by: "user" }, { by: "ego" }]);
    expect(sentimentSeries(messages, ["ego"], Infinity).x).toEqual([2]);
  });
});

it("the last of several updates within a turn counts, and a missing value is a gap", () => {
  const all = columns([{ by: "ego" }]);
  const health = (seq: number, standardised: number | null) =>
    ({
      type: "health_update",
      seq,
      round: 1,
      gauges: { conflict: { value: 1, standardised } },
    }) as unknown as StoredEvent;
  all.add(health(2, 0.2));
  all.add(health(3, 0.4));
  const { x, by } = gaugeSeries(all.gauges, Infinity);
  expect(x).toEqual([1]);
  expect(by.conflict).toEqual([0.4]);
  expect(by.stagnation).toEqual([null]);
});

it("messages are counted by the minute before the newest", () => {
  const { messages } = columns([
    { by: "ego", minute: 0 },
    { by: "ego", minute: 8 },
    { by: "ego", minute: 9 },
    { by: "ego", minute: 9 },
  ]);
  expect(messageRate(messages, Infinity, 3)).toEqual([0, 1, 2]);
});

it("active speakers are agents of the last messages", () => {
  const { messages } = columns([{ by: "self" }, { by: "user" }, { by: "ego" }]);
  expect([...activeSpeakers(messages, Infinity, 2)]).toEqual(["ego"]);
});

describe("model figures", () => {
  it("are taken over the newest messages", () => {
    const { messages } = columns([9000, 100, 200, 300].map((latency) => ({ by: "ego", latency })));
    expect(modelFigures(messages, Infinity, 3)).toEqual({
      n: 3,
      p50Ms: 200,
      p95Ms: 290,
      tokensPerSecond: 100,
    });
  });

  it("are nothing without messages", () => {
    expect(modelFigures(columns([]).messages, Infinity, 3)).toEqual({
      n: 0,
      p50Ms: null,
      p95Ms: null,
      tokensPerSecond: null,
    });
  });

  it("quantile lies between ranks", () => {
    expect(quantile([1, 2], 0.5)).toBe(1.5);
    expect(quantile([5], 0.95)).toBe(5);
    expect(quantile([], 0.5)).toBeNull();
  });
});

it.each([
  ["stagnation", "high", "bad"],
  ["stagnation", "low", "good"],
  ["engagement", "low", "bad"],
  ["diversity", "high", "good"],
  ["conflict", "moderate", "watch"],
] as const)("%s that is %s is %s", (name, level, judgement) => {
  expect(judge(name, level)).toBe(judgement);
});

it("no level, no judgement", () => {
  expect(judge("conflict", null)).toBeNull();
  expect(judge("conflict", undefined)).toBeNull();
});

describe("stretches", () => {
  const emergency = (seq: number, action: "opened" | "closed", level: "emergency" | "critical") =>
    ({
      kind: "emergency",
      seq,
      at: new Date(seq * 1000).toISOString(),
      event: { action, level, stagnation: 0.7 },
    }) as unknown as FeedItem;
  const feed = [
    emergency(10, "opened", "emergency"),
    emergency(14, "opened", "critical"),
    emergency(20, "closed", "critical"),
    emergency(30, "opened", "emergency"),
  ];

  it("joins a rise of the level into the stretch that is open, newest first", () => {
    expect(stretches(feed, Infinity)).toEqual([
      expect.objectContaining({ seq: 30, level: "emergency", closedSeq: null, lastedMs: null }),
      expect.objectContaining({ seq: 10, level: "critical", closedSeq: 20, lastedMs: 10_000 }),
    ]);
  });

  it("knows nothing after the playhead", () => {
    expect(stretches(feed, 15)).toEqual([expect.objectContaining({ seq: 10, closedSeq: null })]);
    expect(stretches(feed, 9)).toEqual([]);
  });
});
