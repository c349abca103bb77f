/** The analysis of one session and of many, as docs/guide/analysis.md describes it. */
import type { Client } from "./client";
import type { components } from "./generated";

type Schemas = components["schemas"];
export type Analysis = Schemas["Analysis"];
export type TrendLine = Schemas["TrendLine"];
export type TurningPoint = Schemas["TurningPoint"];
export type Intervention = Schemas["Intervention"];
export type SelfTests = Schemas["SelfTests"];
export type HistoryJob = Schemas["HistoryJob"];
export type History = Schemas["History"];
export type Judgement = Schemas["Judgement"];
export type HistoryRequest = Schemas["HistoryRequest"];

export class AnalysisApi {
  readonly #client: Client;
  constructor(client: Client) {
    this.#client = client;
  }

  /** Of the events `from` to `to`; both ends open where absent. */
  session = (id: string, range: { from?: number | undefined; to?: number | undefined }) =>
    this.#client.call<Analysis>(`/sessions/${id}/analysis`, { query: range });
  /** Calls a model for each utterance of a sample: it takes up to two minutes, and is paid from the session's budget. */
  judge = (id: string, request: Schemas["JudgeRequest"]) =>
    this.#client.call<Judgement>(`/sessions/${id}/analysis/judge`, { method: "POST", body: request });
  selfTest = () => this.#client.call<SelfTests>("/analysis/self-test");
  begin = (request: HistoryRequest) =>
    this.#client.call<HistoryJob>("/analysis/history", { method: "POST", body: request });
  history = (id: string) => this.#client.call<HistoryJob>(`/analysis/history/${id}`);
}
