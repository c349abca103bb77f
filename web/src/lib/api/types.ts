/**
 * The contract with the server, as the protocol document states it: REST objects first, then socket frames.
 * One file on purpose, so that types generated from openapi.json can take its place.
 */

// ---------- identity ----------

export type Permission =
  | `system:${"admin" | "config" | "monitor"}`
  | `agent:${"create" | "modify" | "delete" | "view"}`
  | `session:${"create" | "manage" | "view"}`
  | `data:${"export" | "import" | "delete"}`;

export interface SignedInUser {
  user_id: string;
  username: string;
  display_name: string | null;
  role: "admin" | "researcher" | "observer";
  permissions: Permission[];
}

export interface TokenAnswer {
  access_token: string;
  refresh_token: string | null;
  token_type: "bearer";
  expires_in: number;
  user: SignedInUser;
}

export interface ErrorEnvelope {
  error: {
    code: number;
    kind: string;
    message: string;
    timestamp: string;
    path: string;
    request_id: string;
    details?: { field: string; message: string }[];
  };
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

// ---------- casts, models, sessions ----------

export type Shape = "circle" | "triangle" | "square" | "diamond" | "star" | "hexagon";

export interface Agent {
  id: string;
  name: string;
  colour: { dark: string; light: string };
  shape: string;
  system_prompt: string;
  temperature: number;
  model?: string | null;
  muted: boolean;
}

export interface PathRule {
  from: string;
  to: string;
  kind: "normal" | "emergency";
  window?: number;
}

export interface StimulusPreset {
  kind: string;
  name: string;
  text: string;
}

export interface Cast {
  id: string;
  version: number | string;
  name: string;
  description: string;
  agents: Agent[];
  paths: PathRule[];
  thresholds: { emergency: number; critical: number; path_switch_delay: number };
  stimuli: StimulusPreset[];
  situation: string;
}

export interface Model {
  id: string;
  provider: string;
  name: string;
  context: number | null;
  price: { input: number | null; output: number | null } | null;
  determinism: string;
  prompt_style: string;
  status: string;
  circuit: "closed" | "open" | "half_open";
  in_use: number | boolean;
}

export type SessionStatus = "created" | "running" | "paused" | "stopped" | "failed";
export type SessionType = "single_user" | "shared" | "observer_only";
export type TurnOrder = "sequential" | "simultaneous";

export interface Session {
  session_id: string;
  name: string;
  session_type: SessionType;
  status: SessionStatus;
  reason?: string | null;
  actor?: string | null;
  owner: string;
  relation: "owner" | "participant" | "viewer" | "none";
  cast_id: string;
  cast_version: number | string;
  situation: string;
  seed: number | string;
  model: string;
  determinism: string;
  turn_order: TurnOrder;
  pacing_ms: number;
  max_rounds?: number | null;
  budget?: { tokens?: number | null; cost?: number | null } | null;
  spent?: { tokens: number; cost: number } | null;
  round: number;
  turn?: number;
  seq: number;
  gen: number;
  tags: string[];
  /** Standardised stagnation of the last rounds. */
  stagnation?: (number | null)[];
  emergencies?: number;
  created_at: string;
  last_activity: string;
}

export interface NewSession {
  name?: string;
  session_type: SessionType;
  cast_id?: string;
  situation?: string;
  seed?: number;
  model?: string;
  turn_order?: TurnOrder;
  pacing_ms?: number;
  max_rounds?: number;
}

export interface SessionPatch {
  name?: string;
  situation?: string;
  pacing_ms?: number;
  max_rounds?: number | null;
}

export interface AgentPatch {
  temperature?: number;
  system_prompt?: string;
  /** Empty: the session's own model again. */
  model?: string | null;
  muted?: boolean;
}

export const GAUGES = [
  "conflict",
  "engagement",
  "diversity",
  "repetition",
  "emotional_intensity",
  "stagnation",
] as const;
export type GaugeName = (typeof GAUGES)[number];

export interface Gauge {
  value: number | null;
  standardised: number | null;
  null?: [number, number] | null;
  level: "low" | "moderate" | "high" | null;
}
export type Gauges = Partial<Record<GaugeName, Gauge>>;

export interface Sentiment {
  score: number;
  label: "positive" | "negative" | "neutral" | "mixed";
  positive?: number;
  negative?: number;
  neutral?: number;
  standard_error?: number;
  band?: [number, number];
}

export type AgentActivity = "waiting" | "processing" | "active" | "integrating" | "muted" | "failed";

export interface AgentState {
  state: AgentActivity;
  last_utterance?: string | null;
  utterances: number;
  sentiment: Sentiment | number | null;
  guidance: string[];
  confidence: number | null;
  current_thought?: string | null;
  last_action?: string | null;
  inbox?: unknown;
  rules?: string[];
  temperature?: number;
  model?: string | null;
  muted?: boolean;
  system_prompt?: string;
}

export interface Connection {
  from: string;
  to: string;
  strength: number;
  active: boolean;
  kind: "normal" | "emergency";
}

export interface Emergency {
  open: boolean;
  level?: "emergency" | "critical" | null;
  since_round?: number | null;
}

/** State of protocol.md §4: what a snapshot carries and `GET /state` answers. */
export interface State {
  status: SessionStatus;
  round: number;
  turn?: number;
  situation: string;
  agents: Record<string, AgentState>;
  connections: Connection[];
  gauges: Gauges;
  emergency: Emergency;
  pending_stimuli: { seq?: number }[];
  participants: Participant[];
}

export interface Participant {
  user_id: string;
  username: string;
  relation?: string;
}

export type Command =
  "start" | "pause" | "resume" | "step" | "stop" | "reset" | "inject_stimulus" | "speak" | "retry";

export interface UtteranceContext {
  messages: { role: string; content: string }[];
  event_seqs: number[];
  sampling: Record<string, unknown> | null;
  model: string;
  opener?: string | null;
  usage: Usage | null;
}

export interface Usage {
  prompt_tokens?: number;
  completion_tokens?: number;
  total_tokens?: number;
  input_tokens?: number;
  output_tokens?: number;
}

export interface SystemStatus {
  status: "healthy" | "degraded" | "critical";
  active_agents: string[];
  resource_usage: {
    cpu_percent: number | null;
    memory_percent: number | null;
    memory_mb: number | null;
    active_threads: number | null;
  };
}

// ---------- stored events ----------

interface Stored<T extends string> {
  type: T;
  session_id: string;
  gen: number;
  seq: number;
  prev: number;
  timestamp: string;
}

/** The beginning: everything a reset goes back to. */
export interface SessionCreated extends Stored<"session_created"> {
  name: string;
  cast: Cast;
  situation: string;
}

export interface AgentMessage extends Stored<"agent_message"> {
  agent_id: string;
  recipient: string;
  recipients: string[];
  content: string;
  message_type: "normal" | "emergency";
  sentiment: Sentiment | null;
  metadata: {
    round?: number;
    turn?: number;
    attempt?: number;
    model?: string;
    usage?: Usage | null;
    latency_ms?: number | null;
    seed?: number | string | null;
    opener?: string | null;
    affect?: unknown;
    truncated?: boolean;
    user_id?: string;
    [key: string]: unknown;
  };
}

export interface AgentStateUpdate extends Stored<"agent_state_update"> {
  agent_id: string;
  state: AgentActivity;
  confidence: number | null;
  last_action: string | null;
  metadata?: Record<string, unknown>;
}

export interface NetworkMetrics {
  total_messages: number | null;
  avg_response_time: number | null;
  network_health: number | null;
}

export interface NetworkUpdate extends Stored<"network_update"> {
  connections: Connection[];
  metrics: NetworkMetrics;
}

export interface HealthUpdate extends Stored<"health_update"> {
  round: number;
  gauges: Gauges;
}

export interface EmergencyEvent extends Stored<"emergency"> {
  action: "opened" | "closed";
  level: "emergency" | "critical";
  stagnation: number;
  paths: { from: string; to: string }[];
}

export interface PromptAdapted extends Stored<"prompt_adapted"> {
  agent_id: string;
  rules: string[];
  guidance: string | string[];
}

export interface StimulusInjected extends Stored<"stimulus_injected"> {
  kind: string;
  text: string;
  target?: string | null;
  actor: string;
}

export interface StimulusUsed extends Stored<"stimulus_used"> {
  stimulus_seq: number;
  turn: number;
}

export interface SituationChanged extends Stored<"situation_changed"> {
  situation: string;
  cause: string;
}

export interface InterventionSuggested extends Stored<"intervention_suggested"> {
  rule: string;
  text: string;
}

export interface Annotation extends Stored<"annotation"> {
  target_seq: number;
  text: string;
  user_id: string;
}

export interface SessionStatusEvent extends Stored<"session_status"> {
  status: SessionStatus;
  reason?: string | null;
  actor: string;
}

export interface TurnStarted extends Stored<"turn_started"> {
  turn: number;
  attempt: number;
  round: number;
  agent_id: string;
  recipient: string;
}

/** Closes a turn: what it cost. */
export interface TurnCommitted extends Stored<"turn_committed"> {
  turn: number;
  attempt: number;
  agent_id: string;
  tokens: number;
  cost: number;
}

export interface TurnFailed extends Stored<"turn_failed"> {
  agent_id: string;
  turn: number;
  attempt: number;
  kind: string;
  retryable: boolean;
  message: string;
  tokens?: number;
}

export interface TurnAbandoned extends Stored<"turn_abandoned"> {
  turn: number;
  attempt: number;
  agent_id?: string;
  tokens?: number;
}

export interface Reset extends Stored<"reset"> {
  actor?: string;
}

export interface SettingsChanged extends Stored<"settings_changed"> {
  changes?: Record<string, unknown>;
  actor?: string;
  [key: string]: unknown;
}

export interface PathsChanged extends Stored<"paths_changed"> {
  paths: PathRule[];
}

export interface AgentChanged extends Stored<"agent_changed"> {
  agent_id: string;
  changes?: AgentPatch;
  actor?: string;
  [key: string]: unknown;
}

export interface UserSession extends Stored<"user_session"> {
  user_id: string;
  username: string;
  action: string;
}

export interface Forked extends Stored<"forked"> {
  parent: { session_id: string; gen: number; seq: number };
}

export interface CommandRefused extends Stored<"command_refused"> {
  command?: string;
  message?: string;
  reason?: string;
}

export type KnownEvent =
  | AgentMessage
  | AgentStateUpdate
  | NetworkUpdate
  | HealthUpdate
  | EmergencyEvent
  | PromptAdapted
  | StimulusInjected
  | StimulusUsed
  | SituationChanged
  | InterventionSuggested
  | Annotation
  | SessionStatusEvent
  | SessionCreated
  | TurnStarted
  | TurnCommitted
  | TurnFailed
  | TurnAbandoned
  | Reset
  | SettingsChanged
  | AgentChanged
  | PathsChanged
  | UserSession
  | Forked
  | CommandRefused;

/** Any stored event. Types this page does not know still carry the chain (`prev`) and are kept. */
export type StoredEvent = KnownEvent;

// ---------- frames that are not stored ----------

export interface Cursor {
  gen: number;
  seq: number;
}

export type ControlFrame =
  | { type: "auth_ok"; user: Participant; expires_at: string }
  | {
      type: "snapshot";
      gen: number;
      seq: number;
      session: Session;
      state: State;
      reason: "cold" | "too_old" | "rewound";
    }
  | { type: "resume"; gen: number; seq: number }
  | { type: "position"; gen: number; seq: number }
  | { type: "ack"; id?: string; seq: number }
  | { type: "error"; id?: string; code: string; message: string }
  | { type: "auth_required"; expires_at: string }
  | { type: "pong" }
  | { type: "bye"; code: number; retry_after_ms?: number | null; cursor?: Cursor | null };

export type EphemeralFrame =
  | { type: "delta"; agent_id: string; turn: number; attempt: number; index: number; text: string }
  | { type: "presence"; users: Participant[] }
  | ({ type: "system_status" } & SystemStatus)
  | { type: "agent_processing_started"; agent_id: string; turn: number; attempt: number }
  | { type: "agent_processing_complete"; agent_id: string; turn: number; attempt: number };

export type ServerFrame = ControlFrame | EphemeralFrame | StoredEvent;
