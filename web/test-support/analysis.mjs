// Made-up analyses for looking at the Analysis tab without a server. Nothing here is a measurement.
import { CAST } from "./conversation.mjs";

const IDS = CAST.agents.map((each) => each.id);
const wave = (at, by) => Math.round((0.5 + 0.4 * Math.sin(at * by)) * 1e4) / 1e4;
const around = (value, by) => [value - by, value + by];

export function makeAnalysis(sessionId, events) {
  const messages = events.filter((event) => event.type === "agent_message");
  const points = (by) => messages.map(({ seq }, at) => [seq, wave(at, by)]);
  const trend = (measure, unit, by, more = {}) => ({
    measure,
    unit,
    tau: 0.21,
    p: 0.0312,
    p_corrected: 0.14,
    slope: 0.08,
    interval: [-0.02, 0.17],
    inflation: 1.4,
    n: messages.length,
    stride: 1,
    points: points(by),
    forecast: null,
    ...more,
  });
  const gauge = (at) => ({
    value: wave(at, 1.3),
    standardised: wave(at, 0.7),
    interval: around(wave(at, 1.3), 0.06),
    null: [0.22, 0.38],
    n: 3,
    unit: "standardised",
    version: 1,
  });
  return {
    session_id: sessionId,
    gen: 1,
    from: 1,
    to: events.length,
    utterances: messages.length,
    erased: 0,
    version: 1,
    measures: Object.fromEntries(
      ["conflict", "engagement", "diversity", "repetition", "emotional_intensity", "stagnation"].map(
        (name, at) => [name, gauge(at)],
      ),
    ),
    trends: [
      trend("novelty", "nats", 0.21, {
        p: 0.0002,
        p_corrected: 0.0018,
        forecast: { utterances_ahead: 20, value: 0.61, interval: [0.4, 0.82] },
      }),
      trend("sentiment", "compound", 0.33),
      trend("words", "count", 0.11),
      trend("latency", "ms", 0.05, { note: "The model's cache makes the first call slower." }),
      {
        ...trend("stagnation", "standardised", 0.2),
        tau: null,
        p: null,
        p_corrected: null,
        slope: null,
        interval: null,
        n: 3,
        points: [],
        note: "3 readings that share no utterance: a trend needs 10.",
      },
    ],
    turning_points: [
      {
        seq: messages[22]?.seq ?? 1,
        turn: 23,
        measure: "novelty",
        unit: "nats",
        change: -0.42,
        before: 0.81,
        after: 0.39,
        p: 0.001,
        p_corrected: 0.009,
        within: 1,
      },
    ],
    interventions: [
      ["stimulus", "memory", 11, 0.8],
      ["emergency_opened", null, 26, 1.4],
      ["emergency_closed", null, 41, -0.3],
      ["agent_changed", "ego", 57, null],
    ].map(([kind, detail, turn, effect]) => ({
      seq: turn * 6,
      turn,
      kind,
      detail,
      actor: "u1",
      effect,
      interval: effect === null ? null : [effect - 0.5, effect + 0.6],
      note: effect === null ? "Only 4 utterances after it." : undefined,
      effects: ["novelty", "sentiment"].map((measure) => ({
        measure,
        unit: measure === "novelty" ? "nats" : "compound",
        before: 0.4,
        after: 0.6,
        effect,
        interval: effect === null ? null : [effect - 0.5, effect + 0.6],
        null: [-0.6, 0.6],
        p: 0.03,
        p_corrected: 0.09,
        n_before: 20,
        n_after: 20,
      })),
    })),
    shares: {
      speakers: IDS.map((agent_id, at) => ({
        agent_id,
        utterances: 12,
        share: 0.2,
        interval: [0.12, 0.31],
        words: 180 + at * 20,
        word_share: 0.18 + at * 0.01,
      })),
      balance: {
        gini_utterances: 0,
        gini_words: 0.07,
        note: "How evenly turns are shared is fixed by the schedule.",
      },
    },
    matrix: {
      speakers: IDS,
      recipients: [...IDS, "all"],
      counts: IDS.map((_, row) =>
        [...IDS, "all"].map((__, column) => (row === column ? 0 : (row * 3 + column) % 13)),
      ),
      overlap: IDS.map((_, row) => IDS.map((__, column) => (row === column ? 1 : wave(row + column, 0.6)))),
      overlap_null: IDS.map(() => IDS.map(() => [0.55, 0.71])),
      overlap_words: 180,
    },
    style: {
      pairs: [{ a: "ego", b: "shadow", words: 180, lsm: 0.81 }],
      coordination: [{ from: "ego", to: "shadow", answers: 12, value: 0.04 }],
      similarity: [],
    },
    influence: { feature: "sentiment", edges: [], note: "59 transitions: influence needs 200." },
    quality: {
      value: 0.64,
      parts: ["uptake", "progress", "variety", "freshness", "balance", "reliability", "completeness"].map(
        (name, at) => ({
          name,
          value: wave(at, 0.9),
          interval: around(wave(at, 0.9), 0.08),
          means: "made up",
        }),
      ),
      note: "Exploratory: the plain mean of its parts.",
    },
    agents: IDS.map((agent_id, at) => ({
      agent_id,
      models: ["default"],
      utterances: 12,
      latency: { p50_ms: 1200 + at * 40, p95_ms: 1900, n: 12 },
      failures: at === 2 ? { timeout: 1 } : {},
      retried: at === 2 ? 1 : 0,
      abandoned: 0,
      truncated: 0,
      tokens: 2532,
      cost: 0,
      mean_words: 19,
      mean_sentiment: wave(at, 2) - 0.5,
      sentiment_interval: null,
      mean_confidence: null,
    })),
    notes: [],
  };
}

export function makeHistory() {
  const measures = ["stagnation", "novelty", "sentiment"];
  const runs = Array.from({ length: 12 }, (_, at) => ({
    session_id: `0193a000-0000-7000-8000-0000000001${String(at).padStart(2, "0")}`,
    name: `Run ${at + 1}`,
    created_at: `2026-11-${String(at + 10).padStart(2, "0")}T10:00:00Z`,
    cast_id: "jungian",
    model: "default",
    seed: at,
    tags: [at % 2 === 0 ? "plain" : "bread"],
    parent: null,
    utterances: 60,
    measures_version: 1,
    values: Object.fromEntries(measures.map((name, m) => [name, wave(at, 0.4 + m / 3)])),
  }));
  const each = (make) => Object.fromEntries(measures.map((name) => [name, make(name)]));
  return {
    history_id: "0193a000-0000-7000-8000-0000000000f1",
    status: "done",
    done: 12,
    total: 12,
    analysed: 3,
    skipped: [],
    history: {
      version: 1,
      n: 12,
      runs,
      distributions: each(() => ({
        n: 12,
        mean: 0.5,
        interval: [0.4, 0.6],
        standard_deviation: 0.17,
        quartiles: [0.1, 0.38, 0.52, 0.64, 0.9],
      })),
      trends: [
        {
          measure: "novelty",
          tau: 0.4,
          p: 0.04,
          p_corrected: 0.12,
          slope: 0.011,
          interval: [0, 0.02],
          n: 12,
        },
      ],
      comparison: {
        a: "plain",
        n_a: 6,
        b: "bread",
        n_b: 6,
        paired: false,
        notes: [],
        measures: measures.map((measure) => ({
          measure,
          n_a: 6,
          n_b: 6,
          mean_a: 0.4,
          mean_b: 0.55,
          difference: 0.15,
          difference_interval: [-0.02, 0.31],
          g: 0.71,
          g_interval: [-0.1, 1.6],
          p_means: 0.07,
          p_ranks: 0.09,
          p_holm: 0.2,
          p_benjamini_hochberg: 0.14,
        })),
      },
      notes: [],
    },
  };
}

export function makeSelfTest() {
  const names = ["random_words", "perfect_loop", "gratitude_loop", "escalating_quarrel", "healthy_dialogue"];
  return {
    ok: true,
    measures_version: 1,
    rows: names.flatMap((name) =>
      ["stagnation", "conflict"].map((gauge) => ({
        name,
        family: false,
        gauge,
        expected: [0.2, 0.9],
        reading: [0.5, 0.5],
        ok: true,
      })),
    ),
  };
}
