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
export type Session = Schemas["Session"] & { branches?: number | null };
export type SessionStatus = Schemas["SessionStatus"];
export type SessionType = Schemas["SessionType"];
export type TurnOrder = Schemas["TurnOrder"];
export type NewSession = Schemas["SessionDraft"];
export interface ForkDraft {
  at_seq: number;
  name?: string;
  changes?: { situation?: string; model?: string; seed?: number };
}
/** What an agent answered outside the conversation. */
export interface Interview {
  agent_id: string;
  seq: number;
  answer: string;
  reasoning?: string | null;
  messages: Schemas["ChatMessage"][];
  event_seqs: number[];
  model: string;
  latency_ms: number;
}
/** Runs side by side: where their common past ends, and turn by turn what came after it. */
export interface Comparison {
  common: { seq: number; turn: number; round: number };
  runs: { session: Session; common_seq: number }[];
  items: ComparedTurn[];
  next_cursor?: string | null;
}
export interface ComparedTurn {
  turn: number;
  cells: ComparedCell[];
}
export interface ComparedCell {
  events: StoredEvent[];
  message?: AgentMessage;
  gauges?: Gauges;
  deltas?: Record<string, number>;
}
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
/** Logs of the first measures have no interval, no parts and no alarm. */
export type Gauge = Schemas["Gauge"] & {
  interval?: number[] | null;
  components?: Record<string, number> | null;
  alarm?: { raised: boolean; sum: number; false_alarms_per_100: number } | null;
};

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

export interface Emergency {
  open: boolean;
  level?: Schemas["EmergencyLevel"] | null;
  since_round?: number | null;
}

export interface Participant {
  user_id: string;
  username: string;
  relation?: string;
}

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

export const EXPORT_FORMATS = ["jsonl", "json", "csv", "markdown"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
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
