/**
 * The contract with the server under the names this page uses. The shapes come from openapi.json (`npm run codegen`);
 * what is written here by hand is only what a schema cannot say.
 */
import type { components } from "./generated";

type Schemas = components["schemas"];

export type Permission =
  | `system:${"admin" | "config" | "monitor"}`
  | `agent:${"create" | "modify" | "delete" | "view"}`
  | `session:${"create" | "manage" | "view"}`
  | `data:${"export" | "import" | "delete"}`;

export type SignedInUser = Schemas["SignedInUser"];
export type TokenAnswer = Schemas["TokenAnswer"];
export type SetupState = Schemas["SetupState"];
export type ErrorEnvelope = Schemas["ErrorEnvelope"];

export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
}

/** What may be left out when a cast is written is always there when it is read. */
type Whole<T, K extends keyof T> = T & { [P in K]-?: NonNullable<T[P]> };
export type Agent = Whole<Schemas["Agent"], "colour" | "shape" | "temperature" | "muted">;
export type Path = Schemas["Path"];
export type PathRule = Whole<Schemas["Path"], "kind">;
export type Cast = Omit<Whole<Schemas["Cast"], "stimuli">, "agents" | "paths" | "thresholds"> & {
  agents: Agent[];
  paths: PathRule[];
  thresholds: Required<Schemas["Thresholds"]>;
};
export type Model = Schemas["Model"];
export type Session = Schemas["Session"];
export type SessionStatus = Schemas["SessionStatus"];
export type SessionType = Schemas["SessionType"];
export type TurnOrder = Schemas["TurnOrder"];
export type NewSession = Schemas["SessionDraft"];
export type ForkDraft = Schemas["ForkBody"];
/** What an agent answered outside the conversation. */
export type Interview = Schemas["Interview"];
/** Runs side by side: where their common past ends, and turn by turn what came after it. */
export type Comparison = Omit<Schemas["ComparedRuns"], "items"> & { items: ComparedTurn[] };
export type ComparedTurn = Omit<Schemas["ComparedTurn"], "cells"> & { cells: ComparedCell[] };
export type ComparedCell = Omit<Schemas["ComparedCell"], "message"> & { message?: AgentMessage | null };
export type SessionPatch = Schemas["SessionPatch"];
export type AgentPatch = Schemas["AgentPatch"];
export type State = Schemas["State"];
export type AgentState = Schemas["AgentState"];
export type AgentActivity = Schemas["AgentActivity"];
export type Connection = Schemas["Connection"];
export type NetworkMetrics = Schemas["NetworkMetrics"];
/** A snapshot gives the score alone; a message all of it. */
export type Sentiment = Pick<Schemas["Sentiment"], "score" | "label">;
export type UtteranceContext = Schemas["UtteranceContext"];
export type Cursor = Schemas["Cursor"];
export type Gauge = Schemas["Gauge"];

export const GAUGES = [
  "conflict",
  "engagement",
  "diversity",
  "repetition",
  "emotional_intensity",
  "stagnation",
] as const;
export type GaugeName = (typeof GAUGES)[number];
export type Gauges = Record<string, Gauge>;

/** The events tell all of it but how many rounds it has been above its threshold. */
export type Emergency = Omit<Schemas["EmergencyState"], "rounds_above">;
export type Participant = Schemas["Participant"];

export type Command =
  "start" | "pause" | "resume" | "step" | "stop" | "reset" | "inject_stimulus" | "speak" | "retry";

/** Any stored event. Types this page does not know still carry the chain (`prev`) and are kept. */
export type StoredEvent = Schemas["StoredFrame"];
export type ServerFrame = Schemas["ServerFrame"];
type EventOf<T extends StoredEvent["type"]> = Extract<StoredEvent, { type: T }>;
export type FrameOf<T extends ServerFrame["type"]> = Extract<ServerFrame, { type: T }>;

export type AgentMessage = EventOf<"agent_message">;
export type Annotation = EventOf<"annotation">;
export type EmergencyEvent = EventOf<"emergency">;
export type InterventionSuggested = EventOf<"intervention_suggested">;
export type Forked = EventOf<"forked">;
export type StimulusInjected = EventOf<"stimulus_injected">;
export type TurnFailed = EventOf<"turn_failed">;
export type SystemStatus = FrameOf<"system_status">;

export type ExportFormat = Schemas["ExportFormat"];
/** What people read first comes first. */
export const EXPORT_FORMATS = [
  "jsonl",
  "json",
  "csv",
  "parquet",
  "markdown",
  "html",
  "pdf",
] as const satisfies ExportFormat[];
export interface ExportQuery {
  format: ExportFormat;
  /** First and last event; all of them when absent. */
  from?: number;
  to?: number;
  /** Comma-separated: `words`, `names`. */
  redact?: string;
  /** A look at the first utterances, instead of the file. */
  limit?: number;
}
