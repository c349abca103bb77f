/** The analysis of one session and of many, as docs/guide/analysis.md describes it. */
import type { Client } from "./client";

type Maybe<T> = T | null | undefined;
interface Schemas {
  TrendLine: {
    measure: string;
    unit: string;
    tau?: Maybe<number>;
    p?: Maybe<number>;
    p_corrected?: Maybe<number>;
    slope?: Maybe<number>;
    interval?: Maybe<number[]>;
    inflation?: Maybe<number>;
    n: number;
    stride: number;
    points: number[][];
    forecast?: Maybe<{ utterances_ahead: number; value: number; interval: number[] }>;
    note?: Maybe<string>;
  };
  TurningPoint: {
    seq: number;
    turn: number;
    measure: string;
    unit: string;
    change: number;
    before: number;
    after: number;
    p: number;
    p_corrected: number;
    within: number;
  };
  Intervention: {
    seq: number;
    turn: number;
    kind: string;
    detail?: Maybe<string>;
    actor?: Maybe<string>;
    effect?: Maybe<number>;
    interval?: Maybe<number[]>;
    note?: Maybe<string>;
    effects: {
      measure: string;
      unit: string;
      before?: Maybe<number>;
      after?: Maybe<number>;
      effect?: Maybe<number>;
      interval?: Maybe<number[]>;
      null?: Maybe<number[]>;
      p?: Maybe<number>;
      p_corrected?: Maybe<number>;
      n_before: number;
      n_after: number;
      note?: Maybe<string>;
    }[];
  };
  Analysis: {
    session_id: string;
    gen: number;
    from: number;
    to: number;
    utterances: number;
    erased: number;
    version: number;
    measures: Record<
      string,
      {
        value?: Maybe<number>;
        standardised?: Maybe<number>;
        interval?: Maybe<number[]>;
        null?: Maybe<number[]>;
        n: number;
        unit: string;
        version: number;
        exploratory?: boolean;
        components?: Record<string, number>;
        note?: Maybe<string>;
      }
    >;
    trends: Schemas["TrendLine"][];
    turning_points: Schemas["TurningPoint"][];
    interventions: Schemas["Intervention"][];
    shares: {
      speakers: {
        agent_id: string;
        utterances: number;
        share: number;
        interval?: Maybe<number[]>;
        words: number;
        word_share?: Maybe<number>;
      }[];
      balance: { gini_utterances?: Maybe<number>; gini_words?: Maybe<number>; note?: Maybe<string> };
    };
    matrix: {
      speakers: string[];
      recipients: string[];
      counts: number[][];
      overlap: (number | null)[][];
      overlap_null: (number[] | null)[][];
      overlap_words: number;
      note?: Maybe<string>;
    };
    style: {
      pairs: { a: string; b: string; words: number; lsm: number }[];
      coordination: { from: string; to: string; answers: number; value: number }[];
      similarity: (number | null)[];
      note?: Maybe<string>;
    };
    influence: {
      feature: string;
      edges: {
        from: string;
        to: string;
        value: number;
        null: number[];
        p: number;
        p_corrected: number;
        transitions: number;
      }[];
      note?: Maybe<string>;
    };
    quality: {
      value?: Maybe<number>;
      parts: { name: string; value?: Maybe<number>; interval?: Maybe<number[]>; means: string }[];
      note: string;
    };
    agents: {
      agent_id: string;
      models: string[];
      utterances: number;
      latency: { p50_ms?: Maybe<number>; p95_ms?: Maybe<number>; n: number };
      failures: Record<string, number>;
      retried: number;
      abandoned: number;
      truncated: number;
      tokens: number;
      cost: number;
      mean_words?: Maybe<number>;
      mean_sentiment?: Maybe<number>;
      sentiment_interval?: Maybe<number[]>;
      mean_confidence?: Maybe<number>;
    }[];
    notes: string[];
  };
  SelfTests: {
    ok: boolean;
    measures_version: number;
    rows: {
      name: string;
      family: boolean;
      gauge: string;
      expected: number[];
      reading: (number | null)[];
      ok: boolean;
    }[];
  };
  HistoryRequest: {
    cast_id?: Maybe<string>;
    tags?: string[];
    start_time?: Maybe<string>;
    end_time?: Maybe<string>;
    compare?: Maybe<{ a: string; b: string }>;
  };
  History: {
    version: number;
    n: number;
    runs: {
      session_id: string;
      name: string;
      created_at: string;
      cast_id: string;
      model: string;
      seed: number;
      tags: string[];
      utterances: number;
      measures_version: number;
      values: Record<string, number>;
    }[];
    distributions: Record<
      string,
      {
        n: number;
        mean?: Maybe<number>;
        interval?: Maybe<number[]>;
        standard_deviation?: Maybe<number>;
        quartiles?: Maybe<number[]>;
      }
    >;
    trends: {
      measure: string;
      tau: number;
      p: number;
      p_corrected: number;
      slope: number;
      interval: number[];
      n: number;
    }[];
    comparison?: Maybe<{
      a: string;
      n_a: number;
      b: string;
      n_b: number;
      paired: boolean;
      notes: string[];
      measures: {
        measure: string;
        n_a: number;
        n_b: number;
        mean_a?: Maybe<number>;
        mean_b?: Maybe<number>;
        difference?: Maybe<number>;
        difference_interval?: Maybe<number[]>;
        g?: Maybe<number>;
        g_interval?: Maybe<number[]>;
        p_means?: Maybe<number>;
        p_ranks?: Maybe<number>;
        p_holm?: Maybe<number>;
        p_benjamini_hochberg?: Maybe<number>;
        note?: Maybe<string>;
      }[];
    }>;
    notes: string[];
  };
  HistoryJob: {
    history_id: string;
    status: "running" | "done" | "failed";
    done: number;
    total: number;
    analysed: number;
    skipped: { session_id: string; message: string }[];
    message?: Maybe<string>;
    history?: Maybe<Schemas["History"]>;
  };
}
export type Analysis = Schemas["Analysis"];
export type TrendLine = Schemas["TrendLine"];
export type TurningPoint = Schemas["TurningPoint"];
export type Intervention = Schemas["Intervention"];
export type SelfTests = Schemas["SelfTests"];
export type HistoryJob = Schemas["HistoryJob"];
export type History = Schemas["History"];
export type HistoryRequest = Schemas["HistoryRequest"];

export class AnalysisApi {
  readonly #client: Client;
  constructor(client: Client) {
    this.#client = client;
  }

  /** Of the events `from` to `to`; both ends open where absent. */
  session = (id: string, range: { from?: number | undefined; to?: number | undefined }) =>
    this.#client.call<Analysis>(`/sessions/${id}/analysis`, { query: range });
  selfTest = () => this.#client.call<SelfTests>("/analysis/self-test");
  begin = (request: HistoryRequest) =>
    this.#client.call<HistoryJob>("/analysis/history", { method: "POST", body: request });
  history = (id: string) => this.#client.call<HistoryJob>(`/analysis/history/${id}`);
}
